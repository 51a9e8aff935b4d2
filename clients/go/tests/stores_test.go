package tests

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"cloakroom.example/cloakroom/tests/service"
)

// held are the requests of the page /slow: each waits between the load of its session and the save.
type held struct {
	loaded, goesOn chan struct{}
}

func newHeld() held { return held{make(chan struct{}), make(chan struct{})} }

// hold is what the page does after it has loaded the session.
func (h held) hold() {
	h.loaded <- struct{}{}
	<-h.goesOn
}

// two lets two requests load the session before either of them saves.
func (h held) two(browser *service.Browser) {
	var group sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		group.Go(func() { browser.Get("/slow?" + name) })
	}
	<-h.loaded
	<-h.loaded
	close(h.goesOn)
	group.Wait()
}

// late returns the answer of a request that loads the session before something happens and saves it afterwards.
func (h held) late(browser *service.Browser, meanwhile func()) service.Answer {
	return h.lateAt(browser, "/slow?late", meanwhile)
}

func (h held) lateAt(browser *service.Browser, path string, meanwhile func()) service.Answer {
	answers := make(chan service.Answer)
	go func() { answers <- browser.Get(path) }()
	<-h.loaded
	meanwhile()
	h.goesOn <- struct{}{}
	return <-answers
}

// losesNothing lets hundreds of requests of one session put values and remove them, some of them at once.
func losesNothing(t *testing.T, browser *service.Browser) {
	t.Helper()
	browser.Get("/put?begun")

	const rounds, atOnce = 30, 6
	for round := range rounds {
		var group sync.WaitGroup
		for i := range atOnce {
			group.Go(func() { browser.Get(fmt.Sprintf("/put?r%02d-%d", round, i)) })
		}
		// Another one removes what the round before has put.
		group.Go(func() { browser.Get(fmt.Sprintf("/remove?r%02d-0", round-1)) })
		group.Wait()
	}
	// The last round is removed by none.
	if got := len(strings.Fields(browser.Get("/keys").Body)); got != 1+rounds*(atOnce-1)+1 {
		t.Errorf("%d values are left", got)
	}
}
