package connect

import (
	"context"
	"testing"
	"time"
)

func TestALookUpWithoutAnAnswerDoesNotHoldCallsToTheAddressesOfAnotherName(t *testing.T) {
	silent, there := Address{Host: "silent.test", Port: 1}, Address{Host: "there.test", Port: 1}
	for _, addresses := range [][]Address{{silent, there}, {there, silent}} {
		r := newReplicas(addresses, func(endpoint) *pool { return nil })
		finish := make(chan struct{})
		for _, name := range r.names {
			name.attempt, name.running = time.Now(), make(chan struct{})
			if name.address == there {
				name.running = finish
				go func() {
					name.mutex.Lock()
					name.ips = []string{"127.0.0.1"}
					name.mutex.Unlock()
					r.update()
					close(finish)
				}()
			}
		}

		for range 2 {
			if err := r.lookUp(context.Background(), time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
		}
		if err := r.lookUp(context.Background(), time.Now()); err != nil {
			t.Error("it waits although there is an address:", err)
		}
	}
}
