//! The codes of all families with their standard names.

use super::Family;

/// One code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its number.
    pub code: i64,
    /// Its standard name.
    pub name: &'static str,
}

const fn entry(code: i64, name: &'static str) -> Entry {
    Entry { code, name }
}

/// The codes of a family, in ascending order.
#[must_use]
pub fn table(family: Family) -> &'static [Entry] {
    match family {
        Family::Trpc => TRPC,
        Family::Thrift => THRIFT,
        Family::Ttstream => TTSTREAM,
        Family::Grpc => GRPC,
        Family::Http2 => HTTP2,
        Family::Http => HTTP,
    }
}

/// `TrpcRetCode` of `trpc.proto` (trpc-protocol); the names are those of its constants without their prefix.
const TRPC: &[Entry] = &[
    entry(0, "SUCCESS"),
    entry(1, "SERVER_DECODE_ERR"),
    entry(2, "SERVER_ENCODE_ERR"),
    entry(11, "SERVER_NOSERVICE_ERR"),
    entry(12, "SERVER_NOFUNC_ERR"),
    entry(21, "SERVER_TIMEOUT_ERR"),
    entry(22, "SERVER_OVERLOAD_ERR"),
    entry(23, "SERVER_LIMITED_ERR"),
    entry(24, "SERVER_FULL_LINK_TIMEOUT_ERR"),
    entry(31, "SERVER_SYSTEM_ERR"),
    entry(41, "SERVER_AUTH_ERR"),
    entry(51, "SERVER_VALIDATE_ERR"),
    entry(101, "CLIENT_INVOKE_TIMEOUT_ERR"),
    entry(102, "CLIENT_FULL_LINK_TIMEOUT_ERR"),
    entry(111, "CLIENT_CONNECT_ERR"),
    entry(121, "CLIENT_ENCODE_ERR"),
    entry(122, "CLIENT_DECODE_ERR"),
    entry(123, "CLIENT_LIMITED_ERR"),
    entry(124, "CLIENT_OVERLOAD_ERR"),
    entry(131, "CLIENT_ROUTER_ERR"),
    entry(141, "CLIENT_NETWORK_ERR"),
    entry(151, "CLIENT_VALIDATE_ERR"),
    entry(161, "CLIENT_CANCELED_ERR"),
    entry(171, "CLIENT_READ_FRAME_ERR"),
    entry(201, "STREAM_SERVER_NETWORK_ERR"),
    entry(211, "STREAM_SERVER_MSG_EXCEED_LIMIT_ERR"),
    entry(221, "STREAM_SERVER_ENCODE_ERR"),
    entry(222, "STREAM_SERVER_DECODE_ERR"),
    entry(231, "STREAM_SERVER_WRITE_END"),
    entry(232, "STREAM_SERVER_WRITE_OVERFLOW_ERR"),
    entry(233, "STREAM_SERVER_WRITE_CLOSE_ERR"),
    entry(234, "STREAM_SERVER_WRITE_TIMEOUT_ERR"),
    entry(251, "STREAM_SERVER_READ_END"),
    entry(252, "STREAM_SERVER_READ_CLOSE_ERR"),
    entry(253, "STREAM_SERVER_READ_EMPTY_ERR"),
    entry(254, "STREAM_SERVER_READ_TIMEOUT_ERR"),
    entry(301, "STREAM_CLIENT_NETWORK_ERR"),
    entry(311, "STREAM_CLIENT_MSG_EXCEED_LIMIT_ERR"),
    entry(321, "STREAM_CLIENT_ENCODE_ERR"),
    entry(322, "STREAM_CLIENT_DECODE_ERR"),
    entry(331, "STREAM_CLIENT_WRITE_END"),
    entry(332, "STREAM_CLIENT_WRITE_OVERFLOW_ERR"),
    entry(333, "STREAM_CLIENT_WRITE_CLOSE_ERR"),
    entry(334, "STREAM_CLIENT_WRITE_TIMEOUT_ERR"),
    entry(351, "STREAM_CLIENT_READ_END"),
    entry(352, "STREAM_CLIENT_READ_CLOSE_ERR"),
    entry(353, "STREAM_CLIENT_READ_EMPTY_ERR"),
    entry(354, "STREAM_CLIENT_READ_TIMEOUT_ERR"),
    entry(999, "INVOKE_UNKNOWN_ERR"),
    entry(1000, "STREAM_UNKNOWN_ERR"),
];

/// `TApplicationException` types of Apache Thrift (0 to 10) and Kitex `pkg/remote/trans_errors.go` (20, 21).
const THRIFT: &[Entry] = &[
    entry(0, "UNKNOWN"),
    entry(1, "UNKNOWN_METHOD"),
    entry(2, "INVALID_MESSAGE_TYPE"),
    entry(3, "WRONG_METHOD_NAME"),
    entry(4, "BAD_SEQUENCE_ID"),
    entry(5, "MISSING_RESULT"),
    entry(6, "INTERNAL_ERROR"),
    entry(7, "PROTOCOL_ERROR"),
    entry(8, "INVALID_TRANSFORM"),
    entry(9, "INVALID_PROTOCOL"),
    entry(10, "UNSUPPORTED_CLIENT_TYPE"),
    entry(20, "UNKNOWN_SERVICE"),
    entry(21, "NO_SERVICE_NAME"),
];

/// grpc `doc/statuscodes.md`.
const GRPC: &[Entry] = &[
    entry(0, "OK"),
    entry(1, "CANCELLED"),
    entry(2, "UNKNOWN"),
    entry(3, "INVALID_ARGUMENT"),
    entry(4, "DEADLINE_EXCEEDED"),
    entry(5, "NOT_FOUND"),
    entry(6, "ALREADY_EXISTS"),
    entry(7, "PERMISSION_DENIED"),
    entry(8, "RESOURCE_EXHAUSTED"),
    entry(9, "FAILED_PRECONDITION"),
    entry(10, "ABORTED"),
    entry(11, "OUT_OF_RANGE"),
    entry(12, "UNIMPLEMENTED"),
    entry(13, "INTERNAL"),
    entry(14, "UNAVAILABLE"),
    entry(15, "DATA_LOSS"),
    entry(16, "UNAUTHENTICATED"),
];

/// RFC 9113, section 7.
const HTTP2: &[Entry] = &[
    entry(0, "NO_ERROR"),
    entry(1, "PROTOCOL_ERROR"),
    entry(2, "INTERNAL_ERROR"),
    entry(3, "FLOW_CONTROL_ERROR"),
    entry(4, "SETTINGS_TIMEOUT"),
    entry(5, "STREAM_CLOSED"),
    entry(6, "FRAME_SIZE_ERROR"),
    entry(7, "REFUSED_STREAM"),
    entry(8, "CANCEL"),
    entry(9, "COMPRESSION_ERROR"),
    entry(10, "CONNECT_ERROR"),
    entry(11, "ENHANCE_YOUR_CALM"),
    entry(12, "INADEQUATE_SECURITY"),
    entry(13, "HTTP_1_1_REQUIRED"),
];

/// Kitex `pkg/remote/trans/ttstream/exception.go`.
const TTSTREAM: &[Entry] = &[
    entry(12001, "application exception"),
    entry(12002, "unexpected header"),
    entry(12003, "illegal operation"),
    entry(12004, "transport"),
    entry(12005, "close"),
    entry(12006, "stream closed"),
    entry(12007, "canceled by user"),
    entry(12008, "canceled with cause"),
    entry(12009, "canceled by downstream"),
    entry(12010, "canceled by upstream"),
    entry(12011, "canceled in a cascade"),
    entry(12012, "canceled by connection"),
    entry(12013, "canceled by transport"),
    entry(12014, "receive time-out"),
    entry(12015, "stream time-out"),
];

/// RFC 9110, section 15: those that proxies and frameworks answer with.
const HTTP: &[Entry] = &[
    entry(400, "Bad Request"),
    entry(401, "Unauthorized"),
    entry(403, "Forbidden"),
    entry(404, "Not Found"),
    entry(405, "Method Not Allowed"),
    entry(408, "Request Timeout"),
    entry(413, "Content Too Large"),
    entry(415, "Unsupported Media Type"),
    entry(429, "Too Many Requests"),
    entry(431, "Request Header Fields Too Large"),
    entry(500, "Internal Server Error"),
    entry(501, "Not Implemented"),
    entry(502, "Bad Gateway"),
    entry(503, "Service Unavailable"),
    entry(504, "Gateway Timeout"),
];
