package gorillastore

import (
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/sessions"
)

func TestTheStoreForgetsASessionThatNobodyHas(t *testing.T) {
	store := &Store{}
	for range 100 {
		session := sessions.NewSession(store, "session")
		store.remember(session, &stored{id: "one"})
		store.remember(session, &stored{id: "two"})
		if store.storedOf(session).id != "two" {
			t.Fatal("what was stored last is not known")
		}
	}

	isEmpty := false
	for end := time.Now().Add(time.Minute); !isEmpty && time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC()
		isEmpty = true
		store.loaded.Range(func(any, any) bool { isEmpty = false; return false })
	}
	if !isEmpty {
		t.Error("sessions that are garbage are remembered")
	}
}
