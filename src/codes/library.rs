//! The libraries whose words are known, and how a request names the one that sent it.

/// A library or proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Library {
    /// <https://github.com/grpc/grpc-go>
    GrpcGo,
    /// <https://github.com/grpc/grpc-java>, and Kotlin and Scala on it.
    GrpcJava,
    /// <https://github.com/grpc/grpc-node>, package `@grpc/grpc-js`.
    GrpcJs,
    /// `grpcio` of Python, with threads.
    Grpcio,
    /// `grpc.aio` of Python.
    GrpcAio,
    /// `grpc++` of <https://github.com/grpc/grpc>.
    GrpcCpp,
    /// <https://github.com/hyperium/tonic>
    Tonic,
    /// <https://github.com/grpc/grpc-dotnet>
    GrpcDotnet,
    /// <https://github.com/grpc/grpc-swift>, versions 1 and 2.
    GrpcSwift,
    /// <https://github.com/grpc/grpc-web>
    GrpcWeb,
    /// <https://github.com/fullstorydev/grpcurl>
    Grpcurl,
    /// <https://github.com/connectrpc/connect-go>
    ConnectGo,
    /// <https://github.com/connectrpc/connect-es>
    ConnectEs,
    /// <https://github.com/apache/dubbo>
    DubboJava,
    /// <https://github.com/apache/dubbo-go>
    DubboGo,
    /// <https://github.com/cloudwego/kitex>
    Kitex,
    /// <https://github.com/cloudwego/volo>
    Volo,
    /// Apache Thrift in Go.
    ThriftGo,
    /// Apache Thrift in Java.
    ThriftJava,
    /// Apache Thrift in Python.
    ThriftPython,
    /// Apache Thrift in C++.
    ThriftCpp,
    /// Apache Thrift in Node.
    ThriftNode,
    /// Apache Thrift in Rust.
    ThriftRust,
    /// Apache Thrift in a language that the text does not show.
    Thrift,
    /// <https://github.com/facebook/fbthrift>
    Fbthrift,
    /// <https://github.com/trpc-group/trpc-go>
    TrpcGo,
    /// <https://github.com/trpc-group/trpc-java>
    TrpcJava,
    /// <https://github.com/trpc-group/trpc-cpp>
    TrpcCpp,
    /// <https://www.envoyproxy.io>
    Envoy,
    /// <https://nginx.org>
    Nginx,
    /// Go's `net` and `net/http`, on which Go's libraries are built.
    GoNet,
    /// Node's sockets.
    NodeNet,
    /// Java's sockets.
    JavaNet,
}

impl Library {
    /// Its name, as its own documents write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GrpcGo => "grpc-go",
            Self::GrpcJava => "grpc-java",
            Self::GrpcJs => "grpc-js",
            Self::Grpcio => "grpcio",
            Self::GrpcAio => "grpc.aio",
            Self::GrpcCpp => "gRPC C++",
            Self::Tonic => "tonic",
            Self::GrpcDotnet => "grpc-dotnet",
            Self::GrpcSwift => "grpc-swift",
            Self::GrpcWeb => "grpc-web",
            Self::Grpcurl => "grpcurl",
            Self::ConnectGo => "connect-go",
            Self::ConnectEs => "connect-es",
            Self::DubboJava => "dubbo-java",
            Self::DubboGo => "dubbo-go",
            Self::Kitex => "Kitex",
            Self::Volo => "Volo",
            Self::ThriftGo => "Apache Thrift (Go)",
            Self::ThriftJava => "Apache Thrift (Java)",
            Self::ThriftPython => "Apache Thrift (Python)",
            Self::ThriftCpp => "Apache Thrift (C++)",
            Self::ThriftNode => "Apache Thrift (Node)",
            Self::ThriftRust => "Apache Thrift (Rust)",
            Self::Thrift => "thrift",
            Self::Fbthrift => "fbthrift",
            Self::TrpcGo => "trpc-go",
            Self::TrpcJava => "trpc-java",
            Self::TrpcCpp => "trpc-cpp",
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
            Self::GoNet => "Go's net package",
            Self::NodeNet => "Node's sockets",
            Self::JavaNet => "Java's sockets",
        }
    }

    /// The library that sent a request with this `user-agent`, and its version as far as it can be read.
    ///
    /// A program may put its own name before the library's (`grpcurl/1.9 grpc-go/1.61`), or after it in grpc-js. `None` for
    /// agents that only name an HTTP stack (`hyper/1`, `Go-http-client/2.0`, a browser), on which several libraries are built.
    #[must_use]
    pub fn of_user_agent(agent: &[u8]) -> Option<(Self, Version)> {
        let agent = std::str::from_utf8(agent).ok()?;
        if agent.split_ascii_whitespace().next_back() == Some(VOLO_AGENT) {
            return Some((Self::Volo, Version::default()));
        }
        agent.split_ascii_whitespace().take(AGENT_WORDS).find_map(|word| {
            let (name, version) = word.split_once('/')?;
            let is_java = |name: &str| name.strip_prefix("grpc-java-").is_some_and(|rest| !rest.is_empty());
            let exact = AGENTS.iter().find(|(agent, _)| *agent == name).map(|(_, library)| *library);
            let library = exact.or_else(|| is_java(name).then_some(Self::GrpcJava))?;
            Some((library, parse_version(version)))
        })
    }
}

/// A version: major, minor and patch number, 0 where it can't be read.
pub type Version = (u16, u16, u16);

/// Most words of an agent that are looked at.
const AGENT_WORDS: usize = 8;

/// volo-grpc `src/layer/user_agent.rs`: this word without a version, behind the program's own name.
const VOLO_AGENT: &str = "volo-user-agent";

/// The names that libraries put before their version: grpc-go `rpc_util.go`, grpc-js `channel.ts`, C core
/// `channel_arguments.cc` and grpcio `_channel.py`, tonic `user_agent.rs`, grpc-dotnet `UserAgentGenerator.cs`, grpc-swift
/// `GRPCClientStateMachine.swift`, connect-go `protocol_grpc.go` and `protocol_connect.go`, connect-es as it was seen to send, Kitex
/// `nphttp2/grpc/defaults.go`, dubbo-go `triple_protocol`. grpc-java (`GrpcUtil.getGrpcUserAgent`) adds its transport's name.
const AGENTS: [(&str, Library); 13] = [
    ("grpc-go", Library::GrpcGo),
    ("grpc-node-js", Library::GrpcJs),
    ("grpc-python", Library::Grpcio),
    ("grpc-python-asyncio", Library::GrpcAio),
    ("grpc-c++", Library::GrpcCpp),
    ("tonic", Library::Tonic),
    ("grpc-dotnet", Library::GrpcDotnet),
    ("grpc-swift-nio", Library::GrpcSwift),
    ("grpc-go-connect", Library::ConnectGo),
    ("connect-go", Library::ConnectGo),
    ("connect-es", Library::ConnectEs),
    ("kitex", Library::Kitex),
    ("grpc-go-triple", Library::DubboGo),
];

fn parse_version(text: &str) -> Version {
    let mut numbers =
        text.trim_start_matches('v').split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_name_their_library() {
        for (agent, library) in [
            ("grpc-go/1.68.0", Some((Library::GrpcGo, (1, 68, 0)))),
            ("grpcurl/v1.9.1 grpc-go/1.61.0", Some((Library::GrpcGo, (1, 61, 0)))),
            ("grpc-java-netty/1.63.0", Some((Library::GrpcJava, (1, 63, 0)))),
            ("shop grpc-java-okhttp/1.70.0", Some((Library::GrpcJava, (1, 70, 0)))),
            ("grpc-node-js/1.14.7", Some((Library::GrpcJs, (1, 14, 7)))),
            ("grpc-python/1.85.3 grpc-c/58.0.0 (linux; chttp2)", Some((Library::Grpcio, (1, 85, 3)))),
            (
                "grpc-python-asyncio/1.80.0 grpc-c/50.0.0 (linux; chttp2)",
                Some((Library::GrpcAio, (1, 80, 0))),
            ),
            ("grpc-c++/1.60.0 grpc-c/37.0.0 (linux; chttp2)", Some((Library::GrpcCpp, (1, 60, 0)))),
            ("tonic/0.12.3", Some((Library::Tonic, (0, 12, 3)))),
            (
                "grpc-dotnet/2.41.0-dev (.NET 6.0.0; CLR 6.0.0; net6.0; linux; x64)",
                Some((Library::GrpcDotnet, (2, 41, 0))),
            ),
            ("grpc-go-connect/1.16.0 (go1.22)", Some((Library::ConnectGo, (1, 16, 0)))),
            ("connect-es/2.1.2", Some((Library::ConnectEs, (2, 1, 2)))),
            ("kitex/v0.16.3", Some((Library::Kitex, (0, 16, 3)))),
            ("volo-user-agent", Some((Library::Volo, (0, 0, 0)))),
            ("Greeter 1.1 volo-user-agent", Some((Library::Volo, (0, 0, 0)))),
            ("volo-user-agent-2", None),
            ("grpc-java-", None),
            ("Go-http-client/2.0", None),
            ("hyper/1.4", None),
            ("my-grpc-go/1.0", None),
            ("Mozilla/5.0 (X11; Linux x86_64)", None),
            ("", None),
        ] {
            assert_eq!(Library::of_user_agent(agent.as_bytes()), library, "{agent}");
        }
    }
}
