//! Names of header fields that the session looks at, told apart once when they are read or enter a table.

/// Declares [`Name`] with the wire names of its variants.
macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal,)*) => {
        /// A header field's name, as far as it matters here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name {
            $($(#[$doc])* $variant,)*
            /// Any other name.
            Other,
            /// A name that stands in a table entry from before the capture (or a gap).
            Unknown,
        }

        impl Name {
            /// The name written so on the wire.
            pub(super) fn of(wire: &[u8]) -> Self {
                // The lengths differ for most, so that hardly any bytes are compared.
                $(if wire == $wire.as_bytes() {
                    return Self::$variant;
                })*
                Self::Other
            }
        }
    };
}

names! {
    /// Request pseudo-headers, RFC 9113, section 8.3.1.
    Method = ":method",
    Scheme = ":scheme",
    Path = ":path",
    Authority = ":authority",
    /// Response pseudo-header, RFC 9113, section 8.3.2.
    Status = ":status",
    /// gRPC PROTOCOL-HTTP2, "Requests" and "Responses".
    ContentType = "content-type",
    GrpcTimeout = "grpc-timeout",
    GrpcEncoding = "grpc-encoding",
    GrpcAcceptEncoding = "grpc-accept-encoding",
    GrpcStatus = "grpc-status",
    GrpcMessage = "grpc-message",
    GrpcStatusDetails = "grpc-status-details-bin",
    /// Kitex, pkg/remote/trans/nphttp2: business status beside the gRPC one.
    BizStatus = "biz-status",
    BizMessage = "biz-message",
    BizExtra = "biz-extra",
    /// Kitex, pkg/remote/transmeta: names of the two services.
    SourceService = "source-service",
    DestinationService = "destination-service",
    DestinationMethod = "destination-method",
}

impl Name {
    /// Whether only a request can begin with it.
    pub(super) fn is_of_request(self) -> bool {
        matches!(self, Self::Method | Self::Scheme | Self::Path | Self::Authority)
    }

    /// Whether it begins with a colon.
    pub(super) fn is_pseudo(self) -> bool {
        self.is_of_request() || self == Self::Status
    }
}
