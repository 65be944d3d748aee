//! Texts in header fields that are recognised when they are read or enter a table: names that the session looks at, and
//! values that gRPC stacks send with every request. A recognised text is neither decoded nor kept.

use crate::event::may_be_context;

/// Length and last octet of a text: they differ for most texts, so that hardly any octets are compared.
const fn key(wire: &[u8]) -> usize {
    match wire {
        [.., last] => wire.len() << 8 | *last as usize,
        [] => 0,
    }
}

/// Declares an enum of texts with their octets on the wire, plain and in the Huffman code of RFC 7541.
macro_rules! texts {
    (
        $(#[$of_type:meta])* $type:ident, $plain:ident, $huffman:ident {
            $($(#[$doc:meta])* $variant:ident = $wire:literal $coded:literal,)*
        }
        $($(#[$other_doc:meta])* $other:ident,)*
    ) => {
        // As wide as the other parts of a field: what is smaller would be put together with its neighbours wherever a field is copied.
        $(#[$of_type])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(super) enum $type {
            $($(#[$doc])* $variant,)*
            $($(#[$other_doc])* $other,)*
        }

        #[allow(non_upper_case_globals, reason = "named as the variants")]
        mod $plain {
            $(pub(super) const $variant: usize = super::key($wire);)*
        }

        #[allow(non_upper_case_globals, reason = "named as the variants")]
        mod $huffman {
            $(pub(super) const $variant: usize = super::key($coded);)*
        }

        impl $type {
            /// How many variants stand for one text each. They come first.
            #[allow(dead_code, reason = "not asked of every type")]
            pub(super) const KNOWN: usize = [$(Self::$variant),*].len();

            /// The known text with these plain octets.
            pub(super) fn of(wire: &[u8]) -> Self {
                match key(wire) {
                    $($plain::$variant if wire == $wire => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The known text with these Huffman-coded octets.
            pub(super) fn of_coded(octets: &[u8]) -> Self {
                match key(octets) {
                    $($huffman::$variant if octets == $coded => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The plain octets of a known text.
            pub(super) fn text(self) -> Option<&'static [u8]> {
                match self {
                    $(Self::$variant => Some($wire),)*
                    $(Self::$other => None,)*
                }
            }

            #[cfg(test)]
            pub(super) const ALL: [(Self, &[u8], &[u8]); Self::KNOWN] =
                [$((Self::$variant, $wire, $coded)),*];
        }
    };
}

texts! {
    /// The name of a header field, as far as it matters here.
    Name, plain_name, coded_name {
        /// Request pseudo-headers, RFC 9113, section 8.3.1.
        Method = b":method" b"\xb9\x49\x53\x39\xe4",
        Scheme = b":scheme" b"\xb8\x82\x4e\x5a\x4b",
        Path = b":path" b"\xb9\x58\xd3\x3f",
        Authority = b":authority" b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f",
        /// Response pseudo-header, RFC 9113, section 8.3.2.
        Status = b":status" b"\xb8\x84\x8d\x36\xa3",
        /// gRPC PROTOCOL-HTTP2, "Requests" and "Responses".
        ContentType = b"content-type" b"\x21\xea\x49\x6a\x4a\xc9\xf5\x59\x7f",
        GrpcTimeout = b"grpc-timeout" b"\x9a\xca\xc8\xb2\x4d\x49\x4f\x6a\x7f",
        GrpcEncoding = b"grpc-encoding" b"\x9a\xca\xc8\xb1\x6a\x21\xe4\x35\x53\x7f",
        GrpcAcceptEncoding = b"grpc-accept-encoding" b"\x9a\xca\xc8\xb0\xc8\x42\xd6\x95\x8b\x51\x0f\x21\xaa\x9b",
        GrpcStatus = b"grpc-status" b"\x9a\xca\xc8\xb2\x12\x34\xda\x8f",
        GrpcMessage = b"grpc-message" b"\x9a\xca\xc8\xb5\x25\x42\x07\x31\x7f",
        GrpcStatusDetails = b"grpc-status-details-bin" b"\x9a\xca\xc8\xb2\x12\x34\xda\x85\xa4\x2a\x46\x6a\x10\xb4\x66\xab",
        /// gRPC PROTOCOL-HTTP2, "Requests": every request has it.
        Te = b"te" b"\x49\x7f",
        /// The library of the client, RFC 9110, section 10.1.5.
        UserAgent = b"user-agent" b"\xb5\x05\xb1\x61\xcc\x5a\x93",
        /// Kitex, pkg/remote/trans/nphttp2: business status beside the gRPC one.
        BizStatus = b"biz-status" b"\x8c\xde\xd6\x42\x46\x9b\x51",
        BizMessage = b"biz-message" b"\x8c\xde\xd6\xa4\xa8\x40\xe6\x2f",
        BizExtra = b"biz-extra" b"\x8c\xde\xd6\x2f\x94\xd8\x3f",
        /// Kitex, pkg/remote/transmeta: names of the two services.
        SourceService = b"source-service" b"\x41\xed\xb0\x85\x59\x05\xb3\xb9\x88\x5f",
        DestinationService = b"destination-service" b"\x90\xa8\x49\xaa\x1a\x4c\x7a\x96\x41\x6c\xee\x62\x17",
        DestinationMethod = b"destination-method" b"\x90\xa8\x49\xaa\x1a\x4c\x7a\x96\xa4\xa9\x9c\xf2\x7f",
    }
    /// Any other name.
    Other,
    /// The same, of a header that may hold trace context.
    Context,
    /// A name that stands in a table entry from before the capture (or a gap).
    Unknown,
}

texts! {
    /// The value of a header field, if it is a common one.
    Value, plain_value, coded_value {
        Grpc = b"application/grpc" b"\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64",
        GrpcProto = b"application/grpc+proto" b"\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64\xff\x75\xd8\x74\x9f",
        Trailers = b"trailers" b"\x4d\x83\x35\x05\xb1\x1f",
        Gzip = b"gzip" b"\x9b\xd9\xab",
        Identity = b"identity" b"\x34\x85\xa9\x26\x4f\xaf",
        IdentityDeflateGzip = b"identity,deflate,gzip" b"\x34\x85\xa9\x26\x4f\xaf\xa9\x0b\x2d\x03\x49\x7e\xa6\xf6\x6a\xff",
        IdentityDeflateGzipSpaced = b"identity, deflate, gzip" b"\x34\x85\xa9\x26\x4f\xaf\xa5\x24\x2c\xb4\x0d\x25\xfa\x52\x6f\x66\xaf",
    }
    /// Any other value.
    Other,
}

impl Name {
    /// The names of which only a request can have one.
    pub(super) const OF_REQUEST: [Self; 4] = [Self::Method, Self::Scheme, Self::Path, Self::Authority];

    /// The name with these plain octets.
    pub(super) fn of_any(wire: &[u8]) -> Self {
        match Self::of(wire) {
            Self::Other => Self::of_other(wire),
            known => known,
        }
    }

    /// The same for octets that are no known name.
    pub(super) fn of_other(wire: &[u8]) -> Self {
        if may_be_context(wire) { Self::Context } else { Self::Other }
    }

    /// Whether it begins with a colon.
    pub(super) fn is_pseudo(self) -> bool {
        self == Self::Status || Self::OF_REQUEST.contains(&self)
    }
}
