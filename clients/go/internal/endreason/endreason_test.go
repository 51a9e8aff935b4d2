package endreason

import (
	"testing"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

func TestAReasonOfANewerServiceIsANumber(t *testing.T) {
	for reason, want := range map[pb.EndReason]string{
		pb.EndReason_END_REASON_UNSPECIFIED: "UNKNOWN",
		pb.EndReason_END_REASON_DESTROYED:   "DESTROYED",
		pb.EndReason(99):                    "99",
	} {
		if got := Text(reason); got != want {
			t.Error(reason, got)
		}
	}
}
