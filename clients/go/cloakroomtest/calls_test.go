package cloakroomtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/cloakroomtest"
	pb "cloakroom.example/cloakroom/cloakroomv1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// caller makes calls by themselves, as no application does.
type caller struct {
	*testing.T
	service *cloakroomtest.Service
}

func newCaller(t *testing.T, apps ...cloakroomtest.App) caller {
	return caller{t, cloakroomtest.New(apps...)}
}

func (c caller) call(rpc string, request, response proto.Message) error {
	return c.service.Call(c.Context(), "/cloakroom.v1.SessionService/"+rpc, request, response)
}

func (c caller) save(request *pb.SaveSessionRequest) (*pb.SaveSessionResponse, string) {
	response := &pb.SaveSessionResponse{}
	err := c.call("SaveSession", request, response)
	var failed *cloakroom.Error
	if errors.As(err, &failed) {
		return response, failed.Reason
	}
	return response, ""
}

func (c caller) open(header string) *pb.Session {
	response := &pb.OpenSessionResponse{}
	credential := &pb.OpenSessionRequest_CookieHeader{CookieHeader: header}
	if err := c.call("OpenSession", &pb.OpenSessionRequest{Credential: credential}, response); err != nil {
		c.Fatal(err)
	}
	return response.Session
}

func (c caller) destroy(token string) *pb.DestroySessionResponse {
	response := &pb.DestroySessionResponse{}
	credential := &pb.DestroySessionRequest_Token{Token: token}
	if err := c.call("DestroySession", &pb.DestroySessionRequest{Credential: credential}, response); err != nil {
		c.Fatal(err)
	}
	return response
}

func (c caller) newToken() string {
	response, _ := c.save(byHeader("", set("a", "1")))
	return response.Session.Token
}

// superseded returns a token that a login has replaced, and the token of the login.
func (c caller) superseded() (token, next string) {
	token = c.newToken()
	response, _ := c.save(byToken(token, &pb.Changes{Subject: proto.String("ada")}))
	return token, response.Session.Token
}

func set(name, json string) *pb.Changes {
	return &pb.Changes{Set: map[string]*pb.Value{name: {Kind: &pb.Value_Json{Json: json}}}}
}

func byToken(token string, changes *pb.Changes) *pb.SaveSessionRequest {
	return &pb.SaveSessionRequest{Credential: &pb.SaveSessionRequest_Token{Token: token}, Changes: changes}
}

func byHeader(header string, changes *pb.Changes) *pb.SaveSessionRequest {
	return &pb.SaveSessionRequest{Credential: &pb.SaveSessionRequest_CookieHeader{CookieHeader: header}, Changes: changes}
}

func TestALogoutByTheTokenOfARecoverySessionLeavesTheCookieOfTheLogin(t *testing.T) {
	c := newCaller(t)
	for _, isStored := range []bool{false, true} {
		token, _ := c.superseded()
		header := "session=" + token
		if isStored {
			c.save(byHeader(header, set("csrf", "1")))
		}
		destroyed := c.destroy(c.open(header).Token)
		if isDeleted := destroyed.Outcome == pb.Outcome_OUTCOME_DELETED; isDeleted != isStored || len(destroyed.Headers) != 0 {
			t.Error(isStored, destroyed)
		}
	}
}

func TestAnIntegerIsASubjectByItsDigitsAndATextCutInsideOfAnEmojiIsNone(t *testing.T) {
	c := newCaller(t, cloakroomtest.App{SubjectKey: "user"})
	long := strings.Repeat("9", 30)
	for json, subject := range map[string]string{long: long, "-7": "-7", " -0 ": "0", `"\ud83d\ude00"`: "😀", `"\\ud83d"`: `\ud83d`} {
		if saved, reason := c.save(byHeader("", set("user", json))); saved.Session.GetSubject() != subject {
			t.Error(json, saved, reason)
		}
	}
	for _, json := range []string{"1.5", "1e3", `"\ud83d"`, `"\uDE00"`, strings.Repeat("1", 257), `{"id":1e400}`} {
		if saved, reason := c.save(byHeader("", set("user", json))); reason != "SUBJECT_INVALID" {
			t.Error(json, saved, reason)
		}
	}
}

func TestALoginRepeatedBesideSupersededCookiesIsOneLogin(t *testing.T) {
	c := newCaller(t)
	recovered, _ := c.superseded()
	c.save(byHeader("session="+recovered, set("csrf", "1")))
	for _, other := range []string{c.newToken(), recovered} {
		ended, next := c.superseded()
		c.destroy(next)
		login := byHeader("session="+ended+"; session="+other, &pb.Changes{
			Subject: proto.String("ada"), Increment: map[string]int64{"logins": 1},
		})
		login.RequestId = "once"
		first, _ := c.save(login)
		again, _ := c.save(login)
		if again.Outcome != pb.Outcome_OUTCOME_UPDATED || again.Counters["logins"] != 1 || again.Session.Token != first.Session.Token {
			t.Error(first, again)
		}
	}
}

func TestARepeatedSaveWhoseDeadlineHasPassedIsAnsweredAsTheFirstOne(t *testing.T) {
	c := newCaller(t)
	for _, token := range []string{c.newToken(), c.open("").Token} {
		save := byToken(token, withDeadline(c.open("").AccessTime.AsTime().Add(time.Minute)))
		save.RequestId = "once"
		first, _ := c.save(save)
		c.service.Advance(2 * time.Minute)
		again, _ := c.save(save)
		save.Changes.Clear = true
		_, reason := c.save(save)
		if first.Session == nil || again.Outcome != first.Outcome || again.Session != nil || reason != "REQUEST_ID_REUSED" {
			t.Error(first, again, reason)
		}
	}
}

func TestASaveWhoseDeadlineHasPassedWritesNothing(t *testing.T) {
	c := newCaller(t)
	token := c.newToken()
	late := withDeadline(time.Now().Add(-time.Minute))
	for _, each := range []string{token, c.open("").Token} {
		if saved, reason := c.save(byToken(each, late)); reason != "LIFETIME_INVALID" {
			t.Error(saved, reason)
		}
	}
	if entries := c.open("session=" + token).Entries; len(entries) != 1 {
		t.Error(entries)
	}
	c.destroy(token)
	if saved, reason := c.save(byToken(token, late)); saved.EndReason != pb.EndReason_END_REASON_DESTROYED {
		t.Error(saved, reason)
	}
}

func withDeadline(deadline time.Time) *pb.Changes {
	changes := set("b", "2")
	changes.Lifetime = &pb.Changes_DeadlineTime{DeadlineTime: timestamppb.New(deadline)}
	return changes
}
