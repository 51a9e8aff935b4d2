module cloakroom.example/cloakroom/gorillastore

go 1.24.0

require (
	cloakroom.example/cloakroom v0.0.0
	github.com/gorilla/securecookie v1.1.2
	github.com/gorilla/sessions v1.4.0
	google.golang.org/protobuf v1.36.12
)

replace cloakroom.example/cloakroom => ../
