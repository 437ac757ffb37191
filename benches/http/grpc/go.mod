module injector.mesh/benches/grpc

go 1.25

require golang.org/x/net v0.47.0

require golang.org/x/text v0.31.0 // indirect
