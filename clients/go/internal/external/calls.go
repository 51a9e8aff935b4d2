// Package external saves the sessions of frameworks that make the session ids themselves, in apps of kind `external`.
//
// It knows no framework. The packages scsstore and gorillastore do.
package external

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"time"

	"cloakroom.example/cloakroom"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"cloakroom.example/cloakroom/internal/endreason"
)

// The bytes of a key.
const shortestKey, longestKey = 16, 256

// Open returns the session of a key; nil if the key is unknown, its session has ended, or it cannot be a key.
func Open(ctx context.Context, client *cloakroom.Client, key string, of *pb.RequestContext) (*pb.Session, error) {
	if len(key) < shortestKey || len(key) > longestKey {
		return nil, nil
	}
	request := &pb.OpenSessionRequest{Credential: &pb.OpenSessionRequest_Key{Key: []byte(key)}, Context: of}
	opened, err := client.OpenSession(untilDeadline(ctx), request)
	if err != nil {
		return nil, err
	}
	if session := opened.Session; !session.GetNew() && session.GetNullSession() == nil {
		return session, nil
	}
	return nil, nil
}

// Save makes changes to the session of a key, and creates the session if the key is unknown. The error is a
// *cloakroom.EndedError if the session has ended; nothing was written then. Without changes it is only a use.
func Save(ctx context.Context, client *cloakroom.Client, key string, changes *pb.Changes, of *pb.RequestContext) error {
	saved, err := client.SaveSession(untilDeadline(ctx), &pb.SaveSessionRequest{
		Credential: &pb.SaveSessionRequest_Key{Key: []byte(key)},
		Changes:    changes,
		RequestId:  newRequestID(),
		KeepEmpty:  true,
		Context:    of,
	})
	if err != nil || saved.Outcome != pb.Outcome_OUTCOME_GONE {
		return err
	}
	return &cloakroom.EndedError{Reason: endreason.Text(saved.EndReason)}
}

// Destroy ends the session of a key. It returns why there is none, if it had ended before or was never stored.
func Destroy(ctx context.Context, client *cloakroom.Client, key string) (*cloakroom.EndedError, error) {
	if len(key) < shortestKey || len(key) > longestKey {
		return nil, nil
	}
	destroyed, err := client.DestroySession(untilDeadline(ctx), &pb.DestroySessionRequest{
		Credential: &pb.DestroySessionRequest_Key{Key: []byte(key)},
		RequestId:  newRequestID(),
	})
	if err != nil || destroyed.Outcome != pb.Outcome_OUTCOME_GONE {
		return nil, err
	}
	return &cloakroom.EndedError{Reason: endreason.Text(destroyed.EndReason)}, nil
}

// IdleTimeout returns that of the app.
func IdleTimeout(ctx context.Context, client *cloakroom.Client) (time.Duration, error) {
	policy, err := client.Policy(untilDeadline(ctx))
	return policy.GetIdleTimeout().AsDuration(), err
}

// Changes returns what a save sends so that a session has the wanted entries. If it is not known what is stored, which is
// nil, the wanted entries replace all.
func Changes(stored, wanted map[string]*pb.Value) *pb.Changes {
	changes := &pb.Changes{Clear: stored == nil, Set: map[string]*pb.Value{}}
	for name, value := range wanted {
		if before := stored[name]; before == nil || !IsSame(before, value) {
			changes.Set[name] = value
		}
	}
	for name := range stored {
		if wanted[name] == nil {
			changes.Unset = append(changes.Unset, name)
		}
	}
	return changes
}

// RequestContext returns what the list of a user's devices says about a request. address returns the user's address; nil:
// that of the connection.
func RequestContext(r *http.Request, address func(*http.Request) string) *pb.RequestContext {
	of := &pb.RequestContext{UserAgent: strings.ToValidUTF8(r.UserAgent(), "\uFFFD")}
	if address != nil {
		of.RemoteAddress = strings.ToValidUTF8(address(r), "\uFFFD")
	} else if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		of.RemoteAddress = host
	}
	return of
}

// untilDeadline lets a call go on until the client's deadline: a browser that goes away undoes no save and no logout.
func untilDeadline(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func newRequestID() string {
	var id [16]byte
	rand.Read(id[:]) // Never fails, by its documentation.
	return hex.EncodeToString(id[:])
}
