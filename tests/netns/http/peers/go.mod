module injector.mesh/tests/peers

go 1.25
