package main

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const grpcService = "peers.v1.Desk"

// The answer of the desk's handlers, by what they are asked.
func desk(ask string) (*wrapperspb.StringValue, error) {
	switch ask {
	case "missing":
		return nil, status.Error(codes.NotFound, "no row for 7: ümlaut")
	case "broken":
		return nil, status.Error(codes.Internal, "disk on fire")
	case "plain":
		return nil, context.Canceled
	case "slow":
		time.Sleep(slowness)
	}
	return wrapperspb.String("hello"), nil
}

var grpcDesk = grpc.ServiceDesc{
	ServiceName: grpcService,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Ask",
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var ask wrapperspb.StringValue
			if err := decode(&ask); err != nil {
				return nil, err
			}
			return desk(ask.GetValue())
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Watch",
		ServerStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			var ask wrapperspb.StringValue
			if err := stream.RecvMsg(&ask); err != nil {
				return err
			}
			for range 3 {
				if err := stream.SendMsg(wrapperspb.String("row")); err != nil {
					return err
				}
			}
			_, err := desk(ask.GetValue())
			return err
		},
	}},
}

func runGRPC(address string) {
	listener, err := net.Listen("tcp", address)
	must("listen", err)
	server := grpc.NewServer()
	server.RegisterService(&grpcDesk, nil)
	go func() { must("serve", server.Serve(listener)) }()

	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must("dial", err)
	service := grpcService
	call := seen{Transport: "http2", RPC: "grpc", Codec: "protobuf", Service: &service, Method: "Ask"}
	ask := func(method, what string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var answer wrapperspb.StringValue
		return conn.Invoke(ctx, "/"+grpcService+"/"+method, wrapperspb.String(what), &answer)
	}

	for range 3 {
		must("ask", ask("Ask", "well"))
		tell(call.ok())
	}
	for what, class := range map[string]string{"missing": "business", "broken": "rpc", "plain": "rpc"} {
		err := status.Convert(ask("Ask", what))
		tell(call.ended(class, "grpc-status", int64(err.Code()), err.Message()))
	}
	unknown := call
	unknown.Method = "Nothing"
	err2 := status.Convert(ask("Nothing", ""))
	expect("unknown method", err2.Code() == codes.Unimplemented, err2)
	tell(unknown.ended("rpc", "grpc-status", int64(err2.Code()), err2.Message()))

	// The caller gives up: RST_STREAM CANCEL is all that the wire holds of it.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	var answer wrapperspb.StringValue
	err = conn.Invoke(ctx, "/"+grpcService+"/Ask", wrapperspb.String("slow"), &answer)
	cancel()
	expect("time-out", status.Code(err) == codes.DeadlineExceeded, err)
	reset := call.ended("transport", "h2-rst-stream", 0, "")
	eight := int64(8)
	reset.Code = &eight
	tell(reset)

	watch := call
	watch.Method = "Watch"
	for what, wanted := range map[string]codes.Code{"well": codes.OK, "missing": codes.NotFound} {
		err := watchRows(conn, what)
		expect("watch", status.Code(err) == wanted, err)
		if err == nil {
			tell(watch.ok())
		} else {
			tell(watch.ended("business", "grpc-status", int64(wanted), status.Convert(err).Message()))
		}
	}
	must("close", conn.Close())
	server.GracefulStop()
}

// Reads a stream to its end; nil if that is a good one.
func watchRows(conn *grpc.ClientConn, what string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpcDesk.Streams[0], "/"+grpcService+"/Watch")
	must("stream", err)
	must("send", stream.SendMsg(wrapperspb.String(what)))
	must("close", stream.CloseSend())
	for {
		var row wrapperspb.StringValue
		if err := stream.RecvMsg(&row); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
	}
}
