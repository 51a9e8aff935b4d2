// Package cloakroomtest tests applications without a service: it has sessions in memory, by the rules of the service.
//
//	client := cloakroomtest.New().Client("shop")
//	handler := sessions.New(client).Middleware(mux)
//
// It is a second implementation of the service's rules. A test of this module makes the same random calls to both and
// compares what they answer: outcomes, entries, counters, tokens, headers, errors, ends and listings.
//
// Time is that of time.Now, so testing/synctest moves sessions too, and so does Service.Advance.
//
// Where it stops:
//
//   - Apps are of kind `stored`. There are none of kind `cookie`, none without a key, and no migration.
//   - There is one signing key, for as long as the service in memory lives. Tokens have another form than the service's;
//     they are as hard to guess, and no service accepts them.
//   - App.SubjectKey is the name of an entry, and no path into one.
//   - Cookies are always HttpOnly and never Partitioned.
//   - RotateSession with its grace is missing, and so are WatchEvents, GetStats, ExplainCredential and the calls that only
//     Flask needs. Package sessions and package admin need none of them.
//   - There is no network: calls neither wait nor fail, unless SetAvailable(false) was called. Nothing checks who calls, and
//     nothing is ever full.
//   - A watch notices within a tenth of a second that its session has expired.
package cloakroomtest
