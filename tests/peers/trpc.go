package main

import (
	"context"
	"errors"
	"time"

	"trpc.group/trpc-go/trpc-go/client"
	"trpc.group/trpc-go/trpc-go/codec"
	"trpc.group/trpc-go/trpc-go/errs"
	"trpc.group/trpc-go/trpc-go/log"
	"trpc.group/trpc-go/trpc-go/server"

	_ "trpc.group/trpc-go/trpc-go"
)

const trpcService = "trpc.peers.desk.Desk"

// A handler for bodies that are passed on as they are.
func trpcAsk(_ any, ctx context.Context, filters server.FilterFunc) (any, error) {
	ask := &codec.Body{}
	chain, err := filters(ask)
	if err != nil {
		return nil, err
	}
	return chain.Filter(ctx, ask, func(context.Context, any) (any, error) {
		switch string(ask.Data) {
		case "refused":
			return nil, errs.New(10001, "order not found")
		case "plain":
			return nil, errors.New("database connection refused")
		case "broken":
			return nil, errs.NewFrameError(31, "shard moved")
		case "slow":
			time.Sleep(slowness)
		}
		return &codec.Body{Data: []byte("hello")}, nil
	})
}

func runTRPC(address string) {
	log.SetLevel("0", log.LevelFatal)
	desk := server.New(
		server.WithAddress(address), server.WithNetwork("tcp"), server.WithProtocol("trpc"),
		server.WithServiceName(trpcService),
	)
	description := &server.ServiceDesc{
		ServiceName: trpcService,
		HandlerType: (*any)(nil),
		Methods:     []server.Method{{Name: "/" + trpcService + "/Ask", Func: trpcAsk}},
	}
	must("register", desk.Register(description, struct{}{}))
	go func() { must("serve", desk.Serve()) }()
	waitFor(address)

	service := trpcService
	call := seen{Transport: "trpc", RPC: "trpc", Codec: "noop", Service: &service, Method: "Ask"}
	ask := func(method, what string, limit time.Duration) error {
		ctx, message := codec.WithCloneMessage(context.Background())
		message.WithClientRPCName("/" + trpcService + "/" + method)
		message.WithCalleeServiceName(trpcService)
		message.WithSerializationType(codec.SerializationTypeNoop)
		return client.New().Invoke(ctx, &codec.Body{Data: []byte(what)}, &codec.Body{},
			client.WithTarget("ip://"+address), client.WithProtocol("trpc"), client.WithTimeout(limit))
	}
	for range 3 {
		must("ask", ask("Ask", "well", time.Second))
		tell(call.ok())
	}
	for what, class := range map[string]string{"refused": "business", "plain": "business", "broken": "rpc"} {
		err := ask("Ask", what, time.Second)
		carrier := map[string]string{"business": "func_ret", "rpc": "ret"}[class]
		tell(call.ended(class, carrier, int64(errs.Code(err)), errs.Msg(err)))
	}
	unknown := call
	unknown.Method = "Nothing"
	err := ask("Nothing", "", time.Second)
	expect("unknown method", errs.Code(err) == errs.RetServerNoFunc, err)
	tell(unknown.ended("rpc", "ret", int64(errs.Code(err)), errs.Msg(err)))

	err = ask("Ask", "slow", patience)
	expect("time-out", errs.Code(err) == errs.RetClientTimeout, err)
	tell(call.ended("transport", "tcp-fin", 0, ""))
	time.Sleep(slowness)
}
