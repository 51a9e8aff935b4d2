package gorillastore

import (
	"encoding/gob"
	"fmt"
	"maps"
	"runtime"
	"time"
	"weak"

	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/external"
	"github.com/gorilla/sessions"
)

const (
	// otherEntry has the values whose keys cannot be the names of entries.
	otherEntry = "_gorilla"
	// permanentEntry is an alias of a field of the service.
	permanentEntry = "_permanent"
	longestName    = 256
)

// stored is what the service has of a session.
type stored struct {
	id          string
	entries     map[string]*pb.Value
	idleTimeout time.Duration
	err         error // The session could not be loaded.
}

// remember lets storedOf return what is stored, as long as there is the session.
func (s *Store) remember(session *sessions.Session, of *stored) {
	if of.entries == nil && of.id != "" {
		of.entries = map[string]*pb.Value{}
	}
	pointer := weak.Make(session)
	if _, isKnown := s.loaded.Swap(pointer, of); !isKnown {
		runtime.AddCleanup(session, func(pointer weak.Pointer[sessions.Session]) { s.loaded.Delete(pointer) }, pointer)
	}
}

func (s *Store) storedOf(session *sessions.Session) *stored {
	if of, isKnown := s.loaded.Load(weak.Make(session)); isKnown {
		return of.(*stored)
	}
	return &stored{}
}

// entriesOf returns the entries of a session. Values whose keys cannot be the names of entries are one entry together.
func entriesOf(values map[any]any) (map[string]*pb.Value, error) {
	entries, others := make(map[string]*pb.Value, len(values)), map[any]any{}
	for key, value := range values {
		name, isText := key.(string)
		if !isText || name == "" || len(name) > longestName || name == otherEntry || name == permanentEntry {
			others[key] = value
			continue
		}
		encoded, err := external.Encode(value)
		if err != nil {
			return nil, fmt.Errorf("gorillastore: value %q: %w", name, err)
		}
		entries[name] = encoded
	}
	if len(others) > 0 {
		encoded, err := external.Encode(others)
		if err != nil {
			return nil, fmt.Errorf("gorillastore: values whose keys are not text: %w", err)
		}
		entries[otherEntry] = encoded
	}
	return entries, nil
}

func valuesOf(entries map[string]*pb.Value) (map[any]any, error) {
	values := make(map[any]any, len(entries))
	for name, entry := range entries {
		value, err := external.Decode(entry)
		if err != nil {
			return nil, fmt.Errorf("gorillastore: entry %q: %w", name, err)
		}
		if others, areOthers := value.(map[any]any); areOthers && name == otherEntry {
			maps.Copy(values, others)
		} else {
			values[name] = value
		}
	}
	return values, nil
}

func init() { gob.Register(map[any]any{}) }
