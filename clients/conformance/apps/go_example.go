// The session code of `examples/go`, which is gRPC without a client library. It is built in place of main.go there.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example/counter/cloakroom/v1"
)

// operation is a name and its arguments.
type operation []json.RawMessage

// text returns an element as a string.
func (o operation) text(i int) string { return decode[string](o[i]) }

func decode[T any](raw json.RawMessage) (value T) {
	if err := json.Unmarshal(raw, &value); err != nil {
		panic(err)
	}
	return value
}

// response is what the operations have made of the response.
type response struct {
	status  int
	headers []*pb.Header
	results []any
}

func main() {
	seconds, err := time.ParseDuration(os.Getenv("CLOAKROOM_DEADLINE") + "s")
	if err != nil {
		log.Fatal(err)
	}
	deadline = seconds
	s, err := dial(os.Getenv("CLOAKROOM_ADDRESS"))
	if err != nil {
		log.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := response{status: http.StatusOK, results: []any{}}
		switch err := s.runOperations(r, &done); status.Code(err) {
		case codes.OK:
		case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
			done = response{status: http.StatusServiceUnavailable}
		default:
			done = response{status: http.StatusBadRequest}
		}
		for _, header := range done.headers {
			w.Header().Add(header.Name, header.Value)
		}
		w.WriteHeader(done.status)
		json.NewEncoder(w).Encode(map[string]any{"results": done.results})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), handler))
}

func (s sessions) runOperations(r *http.Request, done *response) error {
	var request struct{ Operations []operation }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return err
	}
	changes, rotate, own := &pb.Changes{}, false, []*pb.Header{}
	var opened *pb.OpenSessionResponse
	for _, o := range request.Operations {
		if name := o.text(0); opened == nil && (name == "get" || name == "subject") {
			var err error
			if opened, err = s.open(r); err != nil {
				return err
			}
			done.headers = opened.ReadHeaders
		}
	}
	for _, o := range request.Operations {
		var result any
		switch o.text(0) {
		case "get":
			if value, ok := opened.Session.Entries[o.text(1)]; ok {
				result = json.RawMessage(value.GetJson())
			}
		case "subject":
			if opened.Session.Subject != "" {
				result = opened.Session.Subject
			}
		case "set":
			if changes.Set == nil {
				changes.Set = map[string]*pb.Value{}
			}
			changes.Set[o.text(1)] = &pb.Value{Kind: &pb.Value_Json{Json: string(o[2])}}
		case "delete":
			changes.Unset = append(changes.Unset, o.text(1))
		case "increment":
			changes.Increment = map[string]int64{o.text(1): decode[int64](o[2])}
		case "clear":
			changes.Clear = true
		case "login":
			changes.Subject = proto.String(o.text(1))
		case "permanent":
			changes.Permanent = proto.Bool(decode[bool](o[1]))
		case "rotate":
			rotate = true
		case "destroy":
			destroyed, err := s.destroy(r)
			if err != nil {
				return err
			}
			done.headers, opened = destroyed.Headers, nil
			r.Header.Del("Cookie")
		case "header":
			own = append(own, &pb.Header{Name: o.text(1), Value: o.text(2)})
		case "status":
			done.status = decode[int](o[1])
		}
		done.results = append(done.results, result)
	}
	if rotate || proto.Size(changes) > 0 {
		saved, err := s.saveChanges(r, opened, &pb.SaveSessionRequest{Changes: changes, Rotate: rotate})
		if err != nil {
			return err
		}
		done.headers = saved.Headers
		if saved.Outcome == pb.Outcome_OUTCOME_GONE {
			done.status = http.StatusConflict
		}
	}
	done.headers = append(own, done.headers...)
	return nil
}

// saveChanges saves by the token of the open if there is one. With two live sessions in the header there is none: the
// service refuses a write then, and a login begins anew.
func (s sessions) saveChanges(r *http.Request, opened *pb.OpenSessionResponse, request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, error) {
	if opened == nil || opened.Session.NullSession != nil {
		return s.openAndSave(r, request)
	}
	return s.save(r, opened, request)
}
