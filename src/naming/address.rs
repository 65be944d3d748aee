//! Addresses as files of names write them.

use std::net::{IpAddr, SocketAddr};

/// What a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// `10.0.0.1:8888`, `[fd00::1]:8888`.
    Port(IpAddr, u16),
    /// `10.0.0.1`, `fd00::1`.
    Ip(IpAddr),
    /// `10.0.0.0/24`: the bits of the address beyond the prefix are 0.
    Network(IpAddr, u8),
}

impl Pattern {
    /// Reads an address, an address with its port, or a network. IPv4 addresses within IPv6 are the same as plain ones, as on the
    /// wire; zones of link-local addresses (`%eth0`) are left out, because packets do not have them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((address, length)) = text.split_once('/') {
            let ip = address.parse::<IpAddr>().ok()?;
            let length = length.parse::<u8>().ok().filter(|length| *length <= bits(ip))?;
            return Some(Self::network(ip, length));
        }
        if let Some(ip) = self::ip(text) {
            return Some(Self::Ip(ip));
        }
        let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)?;
        Some(Self::Port(address.ip().to_canonical(), address.port()))
    }

    fn network(ip: IpAddr, length: u8) -> Self {
        match masked(ip, length) {
            ip if length == bits(ip) => Self::Ip(ip.to_canonical()),
            ip => Self::Network(ip, length),
        }
    }

    /// The address alone, or with its port if there is one.
    pub(super) fn of(ip: IpAddr, port: Option<u16>) -> Self {
        port.filter(|port| *port != 0).map_or(Self::Ip(ip), |port| Self::Port(ip, port))
    }
}

/// Reads an address without a port.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Bits of such an address.
fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address with only its first `length` bits.
pub(super) fn masked(ip: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match ip {
        IpAddr::V4(ip) => {
            IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0)).into())
        }
        IpAddr::V6(ip) => {
            IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_ports_and_networks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (text, expected) in [
            ("10.0.0.1", Pattern::Ip(ip("10.0.0.1"))),
            ("::ffff:10.0.0.1", Pattern::Ip(ip("10.0.0.1"))),
            ("fe80::1%eth0", Pattern::Ip(ip("fe80::1"))),
            ("10.0.0.1:80", Pattern::Port(ip("10.0.0.1"), 80)),
            ("[fd00::1]:80", Pattern::Port(ip("fd00::1"), 80)),
            ("10.1.2.3/8", Pattern::Network(ip("10.0.0.0"), 8)),
            ("10.1.2.3/0", Pattern::Network(ip("0.0.0.0"), 0)),
            ("10.1.2.3/32", Pattern::Ip(ip("10.1.2.3"))),
            ("fd00:1:2::3/32", Pattern::Network(ip("fd00:1::"), 32)),
            ("::/0", Pattern::Network(ip("::"), 0)),
        ] {
            assert_eq!(Pattern::parse(text), Some(expected), "{text}");
        }
        for text in
            ["", "order", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1:0", "10.0.0.1:70000", "fd00::1/129"]
        {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }
}
