//! Instances of Consul's catalog: the elements of `/v1/catalog/service/NAME` (`CatalogService`) and of `/v1/health/service/NAME`
//! (`ServiceEntry`; Consul's HTTP API, "Catalog" and "Health").

use serde_json::Value;

use super::address::{Pattern, ip};
use super::table::Builder;
use crate::calls::record::Named;

/// Takes an instance; `false` if the object is none.
pub(super) fn take(object: &Value, number: u64, builder: &mut Builder) -> bool {
    let text = |object: &Value, key: &str| {
        object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let port =
        |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let (service, node, own, of_node, port) = match (object.get("Service"), object.get("Node")) {
        (Some(service), Some(node)) if service.is_object() && node.is_object() => (
            text(service, "Service"),
            text(node, "Node"),
            text(service, "Address"),
            text(node, "Address"),
            port(service.get("Port")),
        ),
        _ => (
            text(object, "ServiceName"),
            text(object, "Node"),
            text(object, "ServiceAddress"),
            text(object, "Address"),
            port(object.get("ServicePort")),
        ),
    };
    let Some(service) = service else { return false };
    let place =
        format!("item {number} ({})", crate::text::escape(&service.chars().take(60).collect::<String>()));
    let node_ip = of_node.as_deref().and_then(ip);
    let node_name = node.and_then(|node| builder.name(&node));
    if let (Some(ip), Some(name)) = (node_ip, &node_name) {
        let named = Named { node: Some(name.clone()), ..Named::default() };
        builder.add(Pattern::Ip(ip), named, &place);
    }
    let own_ip = own.as_deref().map(ip);
    // A name of DNS in place of an address says nothing of packets.
    let Some(address) = own_ip.unwrap_or(node_ip) else {
        builder.fault(place, "has no address that is an IP address");
        return true;
    };
    let Some(name) = builder.name(&service) else {
        builder.fault(place, "has too long a name");
        return true;
    };
    let named = Named { name: Some(name), node: node_name, ..Named::default() };
    // An address of its own is the instance's whole; one of the node is shared by all that runs there.
    let is_own = Some(address) != node_ip;
    match port.filter(|port| *port != 0) {
        Some(port) => builder.add(Pattern::Port(address, port), named.clone(), &place),
        None if !is_own => builder.fault(place.clone(), "has no port, and its address is its node's"),
        None => {}
    }
    if is_own {
        builder.add(Pattern::Ip(address), named, &place);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::{names, wrong};

    #[test]
    fn the_catalog_and_the_health_of_a_service() {
        let catalog = r#"[{"ID":"1","Node":"n1","Address":"10.0.0.1","ServiceID":"o","ServiceName":"order","ServiceAddress":"",
            "ServicePort":8888},{"Node":"n1","Address":"10.0.0.1","ServiceName":"cart","ServiceAddress":"172.17.0.2","ServicePort":80}]"#;
        let health = r#"[{"Node":{"Node":"n2","Address":"10.0.0.2"},"Service":{"Service":"stock","Address":"","Port":9000},"Checks":[]}]"#;
        let ends = [
            "10.0.0.1:8888",
            "10.0.0.1:1",
            "172.17.0.2:80",
            "172.17.0.2:40000",
            "10.0.0.2:9000",
            "10.0.0.2:1",
        ];
        let (found, said) = names(&format!("{catalog}\n{health}"), &ends);
        assert_eq!(found, ["order n1", "n1", "cart n1", "cart n1", "stock n2", "n2"]);
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn instances_without_an_address_are_said() {
        let odd = r#"[{"Node":"n1","Address":"db.test","ServiceName":"db","ServicePort":1},
            {"Node":"n1","Address":"10.0.0.1","ServiceName":"db","ServicePort":0},{"Node":"n1"},7]"#;
        let (found, said) = names(odd, &["10.0.0.1:1"]);
        assert_eq!((found[0].as_str(), said.len()), ("n1", 4), "{said:?}");
        assert!(
            said[0].starts_with("item 1 (db): has no address") && said[2].starts_with("item 3: is neither"),
            "{said:?}"
        );
        assert!(wrong("[{\"ServiceName\":\"x\"").contains("is not valid JSON"), "cut off");
    }
}
