# nix run github:rpcscope/rpcscope. Not tested.
{
  description = "Shows every RPC on the wire: did the framework fail, or did the business say no";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in {
      packages = each (pkgs: rec {
        default = rpcscope;
        rpcscope = pkgs.rustPlatform.buildRustPackage {
          pname = "rpcscope";
          version = (nixpkgs.lib.importTOML ./Cargo.toml).workspace.package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          buildInputs = [ pkgs.libpcap ];
          # They need interfaces, root and network namespaces.
          doCheck = false;
          postInstall = ''
            $out/bin/rpcscope man --dir man
            installManPage man/*.1
            installShellCompletion --cmd rpcscope \
              --bash <($out/bin/rpcscope completions bash) \
              --zsh <($out/bin/rpcscope completions zsh) \
              --fish <($out/bin/rpcscope completions fish)
          '';
          meta.mainProgram = "rpcscope";
        };
      });
    };
}
