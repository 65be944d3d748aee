// Command peers runs a server and a client of one RPC framework against each other on the loopback interface, and prints
// what the client saw: one JSON object per call, with the keys of the truth files in captures/.
//
//	peers grpc|thrift|trpc|kitex PORT
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A call as its application saw it.
type seen struct {
	Transport string  `json:"transport"`
	RPC       string  `json:"rpc"`
	Codec     string  `json:"codec"`
	Service   *string `json:"service"`
	Method    string  `json:"method"`
	Class     string  `json:"class"`
	Carrier   string  `json:"carrier"`
	Code      *int64  `json:"code"`
	Message   *string `json:"message"`
}

// The class of a call and what decided it; code and message where there is an error.
func (s seen) ended(class, carrier string, code int64, message string) seen {
	s.Class, s.Carrier = class, carrier
	if class == "business" || class == "rpc" {
		s.Code, s.Message = &code, &message
	}
	return s
}

func (s seen) ok() seen {
	return s.ended("ok", "none", 0, "")
}

// How long a call that is to time out waits, and how long its handler takes.
const (
	patience = 150 * time.Millisecond
	slowness = 600 * time.Millisecond
)

var out = json.NewEncoder(os.Stdout)

func tell(call seen) {
	if err := out.Encode(call); err != nil {
		fail("write", err)
	}
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "peers: %s: %v\n", what, err)
	os.Exit(1)
}

func must(what string, err error) {
	if err != nil {
		fail(what, err)
	}
}

// Says that a call went another way than the scenario meant it to.
func expect(what string, is bool, got any) {
	if !is {
		fail(what, fmt.Errorf("not as meant: %v", got))
	}
}

func main() {
	scenarios := map[string]func(address string){"grpc": runGRPC, "thrift": runThrift, "trpc": runTRPC, "kitex": runKitex}
	if len(os.Args) != 3 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peers grpc|thrift|trpc|kitex PORT")
		os.Exit(2)
	}
	scenarios[os.Args[1]]("127.0.0.1:" + os.Args[2])
}
