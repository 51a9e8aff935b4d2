//go:build unix

package connect

import (
	"net"
	"syscall"
)

// hasInput tells whether something, or the end, has arrived on a connection, without waiting for it.
func hasInput(conn net.Conn) bool {
	holder, isRaw := conn.(syscall.Conn)
	if !isRaw {
		return false
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return true
	}
	found := true
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, err := syscall.Read(int(fd), one[:])
		found = n >= 0 || (err != syscall.EAGAIN && err != syscall.EWOULDBLOCK)
		return true
	})
	return found || err != nil
}
