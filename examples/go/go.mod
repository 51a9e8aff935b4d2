module example/counter

go 1.24.0

require cloakroom.example/cloakroom v0.0.0

require google.golang.org/protobuf v1.36.12 // indirect

replace cloakroom.example/cloakroom => ../../clients/go
