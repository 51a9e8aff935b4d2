//go:build !unix

package connect

import "net"

// hasInput cannot look without waiting here. A call on a connection that has ended is repeated.
func hasInput(net.Conn) bool { return false }
