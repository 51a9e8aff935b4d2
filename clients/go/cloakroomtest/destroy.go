package cloakroomtest

import pb "cloakroom.example/cloakroom/cloakroomv1"

// destroy ends the sessions that a request names.
func (c *call) destroy(request *pb.DestroySessionRequest) (*pb.DestroySessionResponse, error) {
	if err := checkRequestID(request.RequestId); err != nil {
		return nil, err
	}
	if err := c.accept(request); err != nil {
		return nil, err
	}
	by := fingerprint{}
	if request.RequestId != "" {
		by = fingerprint{request.RequestId, "d"}
	}
	response := &pb.DestroySessionResponse{}
	var err error
	shown := &presented{}
	if header, isHeader := request.Credential.(*pb.DestroySessionRequest_CookieHeader); isHeader {
		response.Outcome, response.EndReason, err = c.destroyAll(header.CookieHeader, by)
	} else if shown, err = c.ofWrite(request, false, ""); err == nil {
		response.Outcome, response.EndReason, err = c.destroyOne(shown.token, by)
	}
	if err != nil {
		return nil, err
	}
	// The browser may have the current token in a cookie of the same name, or be about to get the one of a login.
	isSuperseded := response.Outcome == pb.Outcome_OUTCOME_GONE && response.EndReason == pb.EndReason_END_REASON_SUPERSEDED
	if !isSuperseded && shown.note != noteKeep {
		response.Headers = []*pb.Header{c.app.deleteCookie(), vary()}
	}
	return response, nil
}

// destroyAll ends all sessions in a header. The answer prefers a session that this call ended, and a reason to none.
func (c *call) destroyAll(header string, by fingerprint) (pb.Outcome, pb.EndReason, error) {
	outcome, reason := pb.Outcome_OUTCOME_GONE, pb.EndReason_END_REASON_UNSPECIFIED
	for _, shown := range c.inHeader(header) {
		ended, why, err := c.destroyOne(shown.token, by)
		if err != nil {
			return 0, 0, err
		}
		if outcome != pb.Outcome_OUTCOME_DELETED && (ended != pb.Outcome_OUTCOME_GONE || why != 0) {
			outcome, reason = ended, why
		}
		if ended == pb.Outcome_OUTCOME_GONE && why == 0 {
			continue
		}
		// A token that was superseded a short time ago still ends its session, and leads to a recovery session as well.
		if recovery := c.recoveryOf(shown.token); recovery != nil {
			ended, why, err := c.destroyOne(recovery.token, by)
			if err != nil {
				return 0, 0, err
			}
			if outcome != pb.Outcome_OUTCOME_DELETED && (ended != pb.Outcome_OUTCOME_GONE || why != 0) {
				outcome, reason = ended, why
			}
		}
	}
	return outcome, reason, nil
}

func (c *call) destroyOne(t token, by fingerprint) (pb.Outcome, pb.EndReason, error) {
	result, err := c.write(write{token: t, reason: pb.EndReason_END_REASON_DESTROYED, by: by})
	if err != nil || result.verdict != allowed {
		return pb.Outcome_OUTCOME_GONE, result.reason, err
	}
	return result.outcome, result.reason, nil
}
