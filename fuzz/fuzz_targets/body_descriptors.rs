#![no_main]
rpcscope_fuzz::target!(body_descriptors);
