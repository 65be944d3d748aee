package main

import (
	"context"
	"errors"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
)

// A struct with at most one field: a text, or the result of a call.
type record struct {
	field int16
	text  string
	set   bool
}

func (r *record) Write(ctx context.Context, p thrift.TProtocol) error {
	must("struct", p.WriteStructBegin(ctx, "record"))
	if r.set {
		must("field", p.WriteFieldBegin(ctx, "text", thrift.STRING, r.field))
		must("text", p.WriteString(ctx, r.text))
		must("field", p.WriteFieldEnd(ctx))
	}
	must("stop", p.WriteFieldStop(ctx))
	return p.WriteStructEnd(ctx)
}

func (r *record) Read(ctx context.Context, p thrift.TProtocol) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, kind, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if kind == thrift.STOP {
			return p.ReadStructEnd(ctx)
		}
		r.field, r.set = id, true
		if kind == thrift.STRING {
			r.text, err = p.ReadString(ctx)
		} else {
			err = p.Skip(ctx, kind)
		}
		if err != nil {
			return err
		}
		if err := p.ReadFieldEnd(ctx); err != nil {
			return err
		}
	}
}

// A processor written by hand: ask answers, refuses with the declared exception of field 1, or fails.
type processor struct{}

func (processor) ProcessorMap() map[string]thrift.TProcessorFunction  { return nil }
func (processor) AddToProcessorMap(string, thrift.TProcessorFunction) {}
func (processor) Process(ctx context.Context, in, out thrift.TProtocol) (bool, thrift.TException) {
	name, _, seq, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, thrift.WrapTException(err)
	}
	var ask record
	if err := ask.Read(ctx, in); err != nil {
		return false, thrift.WrapTException(err)
	}
	must("end", in.ReadMessageEnd(ctx))
	answer := func(kind thrift.TMessageType, body thrift.TStruct) {
		must("begin", out.WriteMessageBegin(ctx, name, kind, seq))
		must("body", body.Write(ctx, out))
		must("end", out.WriteMessageEnd(ctx))
		must("flush", out.Flush(ctx))
	}
	switch {
	case name != "ask":
		answer(thrift.EXCEPTION, thrift.NewTApplicationException(thrift.UNKNOWN_METHOD, "Unknown function "+name))
	case ask.text == "refused":
		answer(thrift.REPLY, &record{field: 1, text: "not for you", set: true})
	case ask.text == "broken":
		answer(thrift.EXCEPTION, thrift.NewTApplicationException(thrift.INTERNAL_ERROR, "disk on fire"))
	case ask.text == "slow":
		// Nobody waits for this answer any more: it is not written, as a server that looks would do.
		time.Sleep(slowness)
		return false, nil
	default:
		answer(thrift.REPLY, &record{field: 0, text: "hello", set: true})
	}
	return true, nil
}

func runThrift(address string) {
	conf := &thrift.TConfiguration{SocketTimeout: 5 * time.Second}
	protocols := thrift.NewTBinaryProtocolFactoryConf(conf)
	transports := thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), conf)
	socket, err := thrift.NewTServerSocket(address)
	must("socket", err)
	must("listen", socket.Listen())
	server := thrift.NewTSimpleServer4(processor{}, socket, transports, protocols)
	go func() { must("serve", server.Serve()) }()

	call := seen{Transport: "framed", RPC: "thrift", Codec: "thrift-binary", Method: "ask"}
	client, close := thriftClient(address, conf)
	ask := func(method, what string) (record, error) {
		var result record
		_, err := client.Call(context.Background(), method, &record{field: 1, text: what, set: true}, &result)
		return result, err
	}
	for range 3 {
		result, err := ask("ask", "well")
		must("ask", err)
		expect("result", result.text == "hello", result)
		tell(call.ok())
	}
	result, err := ask("ask", "refused")
	must("ask", err)
	expect("declared exception", result.field == 1, result)
	refused := call
	refused.Class, refused.Carrier = "business", "idl-exception"
	tell(refused)
	for method, what := range map[string]string{"ask": "broken", "nothing": ""} {
		_, err := ask(method, what)
		var failure thrift.TApplicationException
		expect("exception", errors.As(err, &failure), err)
		failed := call
		failed.Method = method
		tell(failed.ended("rpc", "thrift-exception", int64(failure.TypeId()), failure.Error()))
	}
	close()

	// The caller gives up and closes its connection.
	impatient := &thrift.TConfiguration{SocketTimeout: patience}
	client, close = thriftClient(address, impatient)
	_, err = ask("ask", "slow")
	expect("time-out", err != nil, err)
	close()
	tell(call.ended("transport", "tcp-fin", 0, ""))
	time.Sleep(slowness)
	must("stop", server.Stop())
}

func thriftClient(address string, conf *thrift.TConfiguration) (thrift.TClient, func()) {
	protocols := thrift.NewTBinaryProtocolFactoryConf(conf)
	transports := thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), conf)
	transport, err := transports.GetTransport(thrift.NewTSocketConf(address, conf))
	must("transport", err)
	must("open", transport.Open())
	client := thrift.NewTStandardClient(protocols.GetProtocol(transport), protocols.GetProtocol(transport))
	return client, func() { must("close", transport.Close()) }
}
