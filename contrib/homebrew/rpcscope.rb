# A formula for a tap (`brew install TAP/rpcscope`). Not tested.
class Rpcscope < Formula
  desc "Shows every RPC on the wire: did the framework fail, or did the business say no"
  homepage "https://github.com/rpcscope/rpcscope"
  license any_of: ["Apache-2.0", "MIT"]
  head "https://github.com/rpcscope/rpcscope.git", branch: "main"

  depends_on "rust" => :build
  uses_from_macos "libpcap"

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"rpcscope", "completions")
    system bin/"rpcscope", "man", "--dir", man1
  end

  test do
    assert_match "INVOKE_TIMEOUT", shell_output("#{bin}/rpcscope explain trpc 101")
  end
end
