package tests

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloakroom.example/cloakroom/tests/service"
	"github.com/gomodule/redigo/redis"
)

// startRedis returns connections to a Redis that ends with the test. It listens on a Unix socket only.
func startRedis(t *testing.T) *redis.Pool {
	t.Helper()
	return startRedisAt(t, "127.0.0.1:0")
}

// startRedisAt does the same with a Redis that listens on an address too, unless its port is 0.
func startRedisAt(t *testing.T, address string) *redis.Pool {
	t.Helper()
	// The path of a socket is short: t.TempDir has the name of the test in it.
	folder, err := os.MkdirTemp("", "cloakroom-redis-")
	must(t, err)
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	socket := filepath.Join(folder, "redis.sock")
	process := exec.Command("redis-server", "--bind", host, "--port", port, "--unixsocket", socket, "--save", "", "--dir", folder)
	must(t, process.Start())
	pool := &redis.Pool{MaxIdle: 8, Dial: func() (redis.Conn, error) { return redis.Dial("unix", socket) }}
	t.Cleanup(func() {
		pool.Close()
		process.Process.Kill()
		process.Wait()
		os.RemoveAll(folder)
	})
	service.Wait(t, "Redis listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return pool
}
