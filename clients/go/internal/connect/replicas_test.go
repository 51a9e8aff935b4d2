package connect

import (
	"testing"
	"time"
)

// hangingFirst returns the replicas of addresses, of which the look-up of the first name never ends.
func hangingFirst(t *testing.T, addresses string) *replicas {
	t.Helper()
	transport, err := New(addresses, Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	transport.replicas.names[0].running = make(chan struct{})
	return transport.replicas
}

func TestANameWhoseLookUpHangsHoldsNoCallIfThereIsAnotherAddress(t *testing.T) {
	for _, addresses := range []string{"silent.test:1,127.0.0.1:1", "127.0.0.1:1,silent.test:1", "silent.test:1,localhost:1"} {
		replicas, end := hangingFirst(t, addresses), time.Now().Add(10*time.Second)

		if err := replicas.lookUp(t.Context(), end); err != nil || time.Now().After(end) {
			t.Errorf("%s: %v at %v", addresses, err, time.Until(end))
		}
		if replicas.count() == 0 {
			t.Errorf("%s: there is no address", addresses)
		}
	}
}

func TestACallForWhichNoNameHasAnAddressFails(t *testing.T) {
	replicas := hangingFirst(t, "silent.test:1")

	err := replicas.lookUp(t.Context(), time.Now().Add(10*time.Millisecond))

	if err == nil || err.Error() != `cannot look up "silent.test": context deadline exceeded` {
		t.Error(err)
	}
}
