//! The header field names that the session looks at. A name is recognised once, when it is read or enters a table.

/// Length and last octet of a name: they differ for most names, so that hardly any octets are compared.
const fn key(wire: &[u8]) -> usize {
    match wire {
        [.., last] => wire.len() << 8 | *last as usize,
        [] => 0,
    }
}

/// Declares [`Name`] with the octets of its variants on the wire, plain and in the Huffman code of RFC 7541.
macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal $coded:literal,)*) => {
        /// The name of a header field, as far as it matters here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name {
            $($(#[$doc])* $variant,)*
            /// Any other name.
            Other,
            /// A name that stands in a table entry from before the capture (or a gap).
            Unknown,
        }

        #[allow(non_upper_case_globals, reason = "named as the variants")]
        mod plain {
            $(pub(super) const $variant: usize = super::key($wire);)*
        }

        #[allow(non_upper_case_globals, reason = "named as the variants")]
        mod coded {
            $(pub(super) const $variant: usize = super::key($coded);)*
        }

        impl Name {
            /// How many variants stand for one name each. They come first.
            pub(super) const KNOWN: usize = [$(Self::$variant),*].len();

            /// The name with these plain octets.
            pub(super) fn of(wire: &[u8]) -> Self {
                match key(wire) {
                    $(plain::$variant if wire == $wire => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The name with these Huffman-coded octets. A known name costs no decoding.
            pub(super) fn of_coded(octets: &[u8]) -> Self {
                match key(octets) {
                    $(coded::$variant if octets == $coded => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The plain octets of a known name.
            pub(super) fn text(self) -> Option<&'static [u8]> {
                match self {
                    $(Self::$variant => Some($wire),)*
                    Self::Other | Self::Unknown => None,
                }
            }

            #[cfg(test)]
            pub(super) const ALL: [(Self, &[u8], &[u8]); Self::KNOWN] =
                [$((Self::$variant, $wire, $coded)),*];
        }
    };
}

names! {
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
    /// Kitex, pkg/remote/trans/nphttp2: business status beside the gRPC one.
    BizStatus = b"biz-status" b"\x8c\xde\xd6\x42\x46\x9b\x51",
    BizMessage = b"biz-message" b"\x8c\xde\xd6\xa4\xa8\x40\xe6\x2f",
    BizExtra = b"biz-extra" b"\x8c\xde\xd6\x2f\x94\xd8\x3f",
    /// Kitex, pkg/remote/transmeta: names of the two services.
    SourceService = b"source-service" b"\x41\xed\xb0\x85\x59\x05\xb3\xb9\x88\x5f",
    DestinationService = b"destination-service" b"\x90\xa8\x49\xaa\x1a\x4c\x7a\x96\x41\x6c\xee\x62\x17",
    DestinationMethod = b"destination-method" b"\x90\xa8\x49\xaa\x1a\x4c\x7a\x96\xa4\xa9\x9c\xf2\x7f",
}

impl Name {
    /// The names of which only a request can have one.
    pub(super) const OF_REQUEST: [Self; 4] = [Self::Method, Self::Scheme, Self::Path, Self::Authority];

    /// Whether it begins with a colon.
    pub(super) fn is_pseudo(self) -> bool {
        self == Self::Status || Self::OF_REQUEST.contains(&self)
    }
}
