package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/client/callopt"
	"github.com/cloudwego/kitex/client/genericclient"
	"github.com/cloudwego/kitex/pkg/generic"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/server"
	"github.com/cloudwego/kitex/server/genericserver"
	"github.com/cloudwego/kitex/transport"
)

const kitexIDL = `
namespace go peers
exception Refused { 1: string why }
service Desk { string Ask(1: string what) throws (1: Refused refused) }
`

type kitexDesk struct{}

func (*kitexDesk) GenericCall(_ context.Context, _ string, request any) (any, error) {
	switch request {
	case `"refused"`, "refused":
		return nil, kerrors.NewBizStatusErrorWithExtra(404, "not found", map[string]string{"key": "value"})
	case `"broken"`, "broken":
		return nil, errors.New("disk on fire")
	case `"slow"`, "slow":
		time.Sleep(slowness)
	}
	return `"hello"`, nil
}

func kitexGeneric() generic.Generic {
	provider, err := generic.NewThriftContentProvider(kitexIDL, nil)
	must("idl", err)
	described, err := generic.JSONThriftGeneric(provider)
	must("generic", err)
	return described
}

func runKitex(address string) {
	klog.SetOutput(io.Discard)
	tcp, err := net.ResolveTCPAddr("tcp", address)
	must("address", err)
	desk := genericserver.NewServer(&kitexDesk{}, kitexGeneric(),
		server.WithServiceAddr(tcp),
		server.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: "peers.desk"}),
		server.WithMetaHandler(transmeta.ServerTTHeaderHandler))
	go func() { must("serve", desk.Run()) }()
	waitFor(address)

	caller, err := genericclient.NewClient("peers.desk", kitexGeneric(),
		client.WithHostPorts(address),
		client.WithTransportProtocol(transport.TTHeader),
		client.WithMetaHandler(transmeta.ClientTTHeaderHandler),
		client.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: "peers.front"}))
	must("client", err)
	service := "Desk"
	call := seen{Transport: "ttheader", RPC: "thrift", Codec: "thrift-binary", Service: &service, Method: "Ask"}
	ask := func(what string, limit time.Duration) error {
		ctx := context.Background()
		_, err := caller.GenericCall(ctx, "Ask", `"`+what+`"`, callLimit(limit)...)
		return err
	}
	for range 3 {
		must("ask", ask("well", time.Second))
		tell(call.ok())
	}
	business, isBusiness := kerrors.FromBizStatusError(ask("refused", time.Second))
	expect("business error", isBusiness, business)
	tell(call.ended("business", "biz-status", int64(business.BizStatusCode()), business.BizMessage()))
	expect("plain error", ask("broken", time.Second) != nil, nil)
	tell(call.ended("rpc", "thrift-exception", 6, "biz error: disk on fire"))

	err = ask("slow", patience)
	expect("time-out", errors.Is(err, kerrors.ErrRPCTimeout), err)
	tell(call.ended("transport", "tcp-fin", 0, ""))
	time.Sleep(slowness)
}

func callLimit(limit time.Duration) []callopt.Option {
	return []callopt.Option{callopt.WithRPCTimeout(limit)}
}
