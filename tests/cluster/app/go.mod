module injector.mesh/tests/app

go 1.25
