// Package endreason writes why a session ended.
package endreason

import (
	"strings"

	pb "cloakroom.example/cloakroom/cloakroomv1"
)

// Text returns a reason as programs read it, such as DESTROYED. UNKNOWN if the service does not know it, and digits if this
// client does not.
func Text(reason pb.EndReason) string {
	if reason == pb.EndReason_END_REASON_UNSPECIFIED {
		return "UNKNOWN"
	}
	return strings.TrimPrefix(reason.String(), "END_REASON_")
}
