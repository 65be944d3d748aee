package main

import (
	"net"
	"time"
)

// Waits until somebody listens. The connection that finds out carries no call.
func waitFor(address string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			must("close", conn.Close())
			return
		}
		if time.Now().After(deadline) {
			fail("nobody listens", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
