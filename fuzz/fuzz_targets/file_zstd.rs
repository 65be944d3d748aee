#![no_main]
rpcscope_fuzz::target!(file_zstd);
