package main

import "github.com/tidwall/evio"

type evioConn struct {
	input   evio.InputStream
	replies []byte
}

// serveEvio handles requests on evio's event loop, all that have come; it writes what they return.
func serveEvio(at endpoint) error {
	events := evio.Events{
		NumLoops: -1,
		Serving: func(server evio.Server) evio.Action {
			announce(server.Addrs[0])
			return evio.None
		},
		Opened: func(conn evio.Conn) ([]byte, evio.Options, evio.Action) {
			conn.SetContext(&evioConn{})
			return nil, evio.Options{ReuseInputBuffer: true}, evio.None
		},
		Data: func(conn evio.Conn, in []byte) ([]byte, evio.Action) {
			state := conn.Context().(*evioConn)
			data := state.input.Begin(in)
			state.replies = state.replies[:0]
			for len(data) >= lengthSize && len(data) >= lengthSize+payloadSize(data) {
				end := lengthSize + payloadSize(data)
				state.replies = appendReply(state.replies, data[lengthSize:end])
				data = data[end:]
			}
			state.input.End(data)
			return state.replies, evio.None
		},
	}
	return evio.Serve(events, at.network+"://"+at.address)
}
