//! What codes mean: one table for all outputs.

pub mod codes;

/// A numbering of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// tRPC `ret` and `func_ret` (`TrpcRetCode` of `trpc.proto`).
    Trpc,
    /// Thrift application exceptions, with the types that Kitex adds.
    Thrift,
    /// Kitex TTHeader Streaming.
    Ttstream,
    /// gRPC status codes.
    Grpc,
    /// HTTP/2 error codes.
    Http2,
    /// HTTP status codes.
    Http,
}

/// The standard name of a code; `None` for one that no published table has.
#[must_use]
pub fn code_name(family: Family, code: i64) -> Option<&'static str> {
    let table = codes::table(family);
    let index = table.binary_search_by_key(&code, |entry| entry.code).ok()?;
    table.get(index).map(|entry| entry.name)
}
