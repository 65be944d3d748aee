#![no_main]
rpcscope_fuzz::target!(tls_keylog);
