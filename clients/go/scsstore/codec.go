package scsstore

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/external"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// deadlineEntry has the deadline of a session as RFC 3339 writes it, which is not its expiry if scs has an idle timeout.
	deadlineEntry = "__deadline"
	// opaqueEntry has the whole session, if another codec has encoded it.
	opaqueEntry = "__scs"
	// dataPrefix begins what Codec encodes. Nothing that gob or encoding/json writes begins like this.
	dataPrefix = "cloakroom\x00"
)

// Codec is an scs.Codec that makes each value of a session an entry of its own. It also decodes what scs.GobCodec has
// encoded, so that an application can begin to use it at any time.
//
// Values keep their types. Text, bools, numbers of the types int, int64 and float64, and []any and map[string]any of these
// are stored as JSON, which other clients and the app's subject_key can read: an int64 as {"int64":1}, so that its
// subject_key is the path `userID.int64`. All other types are gob and have to be registered by gob.Register, as with scs'
// own codec.
type Codec struct{}

// Encode encodes a session for a [Store]; other stores take it as bytes.
func (Codec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	entries := make(map[string]*pb.Value, len(values)+1)
	for name, value := range values {
		encoded, err := external.Encode(value)
		if err != nil {
			return nil, fmt.Errorf("scsstore: value %q: %w", name, err)
		}
		entries[name] = encoded
	}
	entries[deadlineEntry] = external.Text(deadline.UTC().Format(time.RFC3339Nano))
	return marshal(entries)
}

// Decode decodes a session.
func (Codec) Decode(data []byte) (deadline time.Time, values map[string]any, err error) {
	if !bytes.HasPrefix(data, []byte(dataPrefix)) {
		return decodeGob(data)
	}
	entries, err := entriesOf(data)
	if err != nil {
		return time.Time{}, nil, err
	}
	if deadline, err = deadlineOf(entries); err != nil {
		return time.Time{}, nil, err
	}
	delete(entries, deadlineEntry)
	values = make(map[string]any, len(entries))
	for name, value := range entries {
		if values[name], err = external.Decode(value); err != nil {
			return time.Time{}, nil, fmt.Errorf("scsstore: entry %q: %w", name, err)
		}
	}
	return deadline, values, nil
}

// decodeGob decodes what scs.GobCodec has encoded.
func decodeGob(data []byte) (time.Time, map[string]any, error) {
	var session struct {
		Deadline time.Time
		Values   map[string]any
	}
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&session); err != nil {
		return time.Time{}, nil, err
	}
	if session.Values == nil {
		session.Values = map[string]any{}
	}
	return session.Deadline, session.Values, nil
}

// entriesOf returns the entries that scs' data are stored as.
func entriesOf(data []byte) (map[string]*pb.Value, error) {
	encoded, isOurs := bytes.CutPrefix(data, []byte(dataPrefix))
	if !isOurs {
		return map[string]*pb.Value{opaqueEntry: {Kind: &pb.Value_Raw{Raw: data}}}, nil
	}
	session := &pb.Session{}
	err := proto.Unmarshal(encoded, session)
	return session.Entries, err
}

// dataOf returns what a codec decodes. A session that another client began has no deadline but its expiry.
func dataOf(entries map[string]*pb.Value, expiry *timestamppb.Timestamp) ([]byte, error) {
	if opaque, isOpaque := entries[opaqueEntry].GetKind().(*pb.Value_Raw); isOpaque {
		return opaque.Raw, nil
	}
	if entries[deadlineEntry] == nil {
		complete := map[string]*pb.Value{deadlineEntry: external.Text(expiry.AsTime().Format(time.RFC3339Nano))}
		maps.Copy(complete, entries)
		entries = complete
	}
	return marshal(entries)
}

// isOver tells whether the deadline of a session is over.
func isOver(entries map[string]*pb.Value) bool {
	if entries[deadlineEntry] == nil {
		return false
	}
	deadline, err := deadlineOf(entries)
	return err == nil && !deadline.After(time.Now())
}

func deadlineOf(entries map[string]*pb.Value) (deadline time.Time, err error) {
	if err := json.Unmarshal([]byte(entries[deadlineEntry].GetJson()), &deadline); err != nil {
		return time.Time{}, fmt.Errorf("scsstore: entry %s: %w", deadlineEntry, err)
	}
	return deadline.UTC(), nil
}

func marshal(entries map[string]*pb.Value) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte(dataPrefix), &pb.Session{Entries: entries})
}
