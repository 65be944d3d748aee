#![no_main]
rpcscope_fuzz::target!(session "trpc");
