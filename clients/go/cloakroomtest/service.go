package cloakroomtest

import (
	"context"
	"sync"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
)

// Service is a service in memory. It is a cloakroom.Transport, and safe for many goroutines.
type Service struct {
	mutex         sync.Mutex
	apps          map[string]App
	acceptsAnyApp bool
	store         *store
	signer        signer
	advanced      time.Duration
	isUnavailable bool
	changed       chan struct{} // Closed, and made anew, after each call.
}

// New returns a service with apps. Without any, an app of each name exists, with the default settings.
func New(apps ...App) *Service {
	s := &Service{
		apps: map[string]App{}, acceptsAnyApp: len(apps) == 0, store: newStore(), signer: signer{randomBytes()},
		changed: make(chan struct{}),
	}
	for _, app := range apps {
		app = app.withDefaults()
		s.apps[app.Name] = app
	}
	return s
}

// Client returns a client of an app, for the packages sessions and admin. Empty means `default`.
func (s *Service) Client(app string) *cloakroom.Client {
	client, err := cloakroom.New("", cloakroom.Options{App: app, Transport: s})
	if err != nil {
		panic(err) // These options are always valid.
	}
	return client
}

// Advance moves the service's clock forward, so that sessions expire.
func (s *Service) Advance(by time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.advanced += by
	s.notify()
}

// SetAvailable sets whether calls are answered. If not, each fails at once, as after a whole deadline without an answer.
func (s *Service) SetAvailable(isAvailable bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.isUnavailable = !isAvailable
}

// Call answers a call, as cloakroom.Transport describes it.
func (s *Service) Call(_ context.Context, path string, request, response proto.Message) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answer, err := s.answer(path, request)
	if err != nil {
		return err
	}
	proto.Reset(response)
	proto.Merge(response, answer)
	s.notify()
	return nil
}

func (s *Service) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Service) answer(path string, request proto.Message) (proto.Message, error) {
	c, err := s.begin(request.(interface{ GetApp() string }).GetApp())
	if err != nil {
		return nil, err
	}
	switch request := request.(type) {
	case *pb.OpenSessionRequest:
		return orError(c.open(request))
	case *pb.SaveSessionRequest:
		return orError(c.save(request))
	case *pb.DestroySessionRequest:
		return orError(c.destroy(request))
	case *pb.GetAppPolicyRequest:
		return c.app.policy(), nil
	case *pb.ListSessionsRequest:
		return orError(c.list(request))
	case *pb.GetSessionRequest:
		return orError(c.get(request))
	case *pb.RevokeSessionRequest:
		return orError(c.revoke(request))
	case *pb.RevokeSubjectRequest:
		return orError(c.revokeSubject(request))
	case *pb.RevokeAppRequest:
		s.store.generations[c.app.Name]++
		return &pb.RevokeAppResponse{}, nil
	}
	return nil, cloakroom.NewError("UNIMPLEMENTED", "METHOD_UNKNOWN", "cloakroomtest has no "+path, nil)
}

// orError returns a response as a message, and never a nil pointer in an interface.
func orError[T proto.Message](response T, err error) (proto.Message, error) {
	if err != nil {
		return nil, err
	}
	return response, nil
}

func (s *Service) begin(name string) (*call, error) {
	if s.isUnavailable {
		// With this code no client waits for a repeat.
		return nil, cloakroom.NewError("DEADLINE_EXCEEDED", "", "the service in memory is not available", nil)
	}
	setDefault(&name, "default")
	app, isKnown := s.apps[name]
	if !isKnown {
		if !s.acceptsAnyApp {
			return nil, cloakroom.NewError("NOT_FOUND", "APP_UNKNOWN", "no app of that name is configured", nil)
		}
		app = App{Name: name}.withDefaults()
		s.apps[name] = app
	}
	// The service has times in milliseconds.
	now := time.Now().Add(s.advanced).UTC().Truncate(time.Millisecond)
	return &call{app: app, store: s.store, signer: s.signer, now: now}, nil
}
