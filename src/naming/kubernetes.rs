//! Pods, services and nodes of Kubernetes, as `kubectl get pods,services,nodes -A -o json` prints them (API v1: `Pod`, `Service`, `Node`).

use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::Value;

use super::address::{Pattern, ip};
use super::table::{Builder, MAX_ADDRESSES};
use super::{pod_in, service_in};
use crate::calls::record::{Name, Named};

/// Most addresses or ports of one object.
const MAX_PARTS: usize = 64;

/// Most labels of a pod that services are looked up by.
const MAX_LABELS: usize = 64;

/// Most services with the same first label that pods are compared with: each pod of that label is compared with all of them.
const MAX_SELECTORS: usize = 1024;

/// Labels that name what a pod belongs to, the usual one first.
const APP: [&str; 3] = ["app", "app.kubernetes.io/name", "k8s-app"];

/// The annotation by which the kubelet knows the pods of its own files; their cgroups have it in place of the uid.
const STATIC_UID: &str = "kubernetes.io/config.hash";

/// A label and its value.
type Label = (Name, Name);

/// A service that selects pods.
#[derive(Debug)]
struct Selector {
    labels: Vec<Label>,
    service: Name,
}

/// A pod whose services are not known yet, because they may come later in the list.
#[derive(Debug)]
struct Pod {
    namespace: Name,
    labels: Vec<Label>,
    /// Of [`APP`].
    app: Option<Name>,
    named: Named,
    uids: Vec<Name>,
    addresses: Vec<Pattern>,
    place: String,
}

/// What was read of a cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pods: Vec<Pod>,
    /// By namespace and the first label that they want.
    selectors: HashMap<(Name, Label), Vec<Selector>>,
    services: usize,
}

fn text<'v>(object: &'v Value, path: &str) -> Option<&'v str> {
    object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// All texts under the path, which leads to a list; `part` is what its elements have them in.
fn texts<'v>(object: &'v Value, path: &str, part: &'v str) -> impl Iterator<Item = &'v str> {
    let list = object.pointer(path).and_then(Value::as_array).into_iter().flatten().take(MAX_PARTS);
    list.filter_map(move |one| if part.is_empty() { one.as_str() } else { one.get(part)?.as_str() })
}

fn labels(object: &Value, path: &str, builder: &mut Builder) -> Vec<Label> {
    let map = object.pointer(path).and_then(Value::as_object).into_iter().flatten().take(MAX_LABELS);
    let mut labels: Vec<Label> = map
        // A value may be empty.
        .filter_map(|(label, value)| Some((builder.shared(label), builder.shared(value.as_str()?))))
        .collect();
    labels.sort();
    labels
}

impl Cluster {
    /// Takes an object; `false` if it is none of Kubernetes.
    pub(super) fn take(&mut self, object: &Value, number: u64, builder: &mut Builder) -> bool {
        let has = |path: &str| object.pointer(path).is_some();
        let kind = match text(object, "/kind") {
            Some(kind) => kind,
            // In lists of the API, only the list has a kind.
            None if has("/spec/containers") => "Pod",
            None if has("/spec/clusterIP") => "Service",
            None => return false,
        };
        let Some(name) = text(object, "/metadata/name") else { return false };
        let namespace = text(object, "/metadata/namespace").unwrap_or("default");
        let shown: String = format!("{namespace}/{name}").chars().take(80).collect();
        let place = format!("item {number} ({} {})", crate::text::escape(kind), crate::text::escape(&shown));
        match kind {
            "Pod" => self.pod(object, namespace, name, place, builder),
            "Service" => self.service(object, namespace, name, &place, builder),
            "Node" => node(object, name, &place, builder),
            // Whatever else was asked for in the same list.
            _ => {}
        }
        true
    }

    fn pod(&mut self, object: &Value, namespace: &str, name: &str, place: String, builder: &mut Builder) {
        let node = text(object, "/spec/nodeName").and_then(|node| builder.name(node));
        let host = text(object, "/status/hostIP").and_then(ip);
        if let (Some(host), Some(node)) = (host, &node) {
            builder.add(Pattern::Ip(host), Named { node: Some(node.clone()), ..Named::default() }, &place);
        }
        // Its addresses may belong to another one by now.
        if matches!(text(object, "/status/phase"), Some("Succeeded" | "Failed")) {
            return;
        }
        let (Some(pod), Some(namespace)) = (builder.name(&pod_in(namespace, name)), builder.name(namespace))
        else {
            builder.fault(place, "has too long a name");
            return;
        };
        if self.pods.len() >= MAX_ADDRESSES {
            builder.fault(place, format!("is beyond the most pods that can have names ({MAX_ADDRESSES})"));
            return;
        }
        let mut addresses: Vec<Pattern> = Vec::new();
        // A pod in the network of its host shares that address with all others there.
        if object.pointer("/spec/hostNetwork").and_then(Value::as_bool) != Some(true) {
            let one = text(object, "/status/podIP").into_iter();
            addresses
                .extend(one.chain(texts(object, "/status/podIPs", "ip")).filter_map(ip).map(Pattern::Ip));
        }
        let containers = object.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        for container in containers.take(MAX_PARTS) {
            let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
            let ports = ports.take(MAX_PARTS).filter_map(|port| port.get("hostPort")?.as_u64());
            let ports = ports.filter_map(|port| u16::try_from(port).ok());
            addresses.extend(ports.filter_map(|port| Some(Pattern::of(host?, Some(port)))));
        }
        addresses.dedup();
        let uids = [
            text(object, "/metadata/uid"),
            object
                .pointer("/metadata/annotations")
                .and_then(|all| all.get(STATIC_UID).and_then(Value::as_str)),
        ];
        let uids: Vec<Name> = uids.into_iter().flatten().filter_map(|uid| builder.name(uid)).collect();
        let labels = labels(object, "/metadata/labels", builder);
        let value = |label: &str| {
            let (_, value) = labels.iter().find(|(name, _)| **name == *label)?;
            (!value.is_empty()).then_some(value)
        };
        let app = APP.into_iter().find_map(value).and_then(|app| builder.name(&service_in(&namespace, app)));
        let named = Named { name: None, pod: Some(pod), node, pod_uid: uids.first().cloned() };
        self.pods.push(Pod { namespace, labels, app, named, uids, addresses, place });
    }

    fn service(&mut self, object: &Value, namespace: &str, name: &str, place: &str, builder: &mut Builder) {
        let Some(service) = builder.name(&service_in(namespace, name)) else {
            builder.fault(place, "has too long a name");
            return;
        };
        let named = Named { name: Some(Arc::clone(&service)), ..Named::default() };
        // Headless services have the word None there.
        let own = text(object, "/spec/clusterIP").into_iter().chain(texts(object, "/spec/clusterIPs", ""));
        for address in own.filter_map(ip) {
            builder.add(Pattern::Ip(address), named.clone(), place);
        }
        // Addresses of nodes and load balancers may serve several, each on its ports.
        let outside = texts(object, "/spec/externalIPs", "");
        let outside = outside.chain(texts(object, "/status/loadBalancer/ingress", "ip"));
        let ports = object.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
        let ports: Vec<u16> = ports
            .take(MAX_PARTS)
            .filter_map(|port| u16::try_from(port.get("port")?.as_u64()?).ok())
            .collect();
        for address in outside.filter_map(ip) {
            for port in &ports {
                builder.add(Pattern::of(address, Some(*port)), named.clone(), place);
            }
        }
        let labels = labels(object, "/spec/selector", builder);
        if let (Some(first), Some(namespace)) = (labels.first().cloned(), builder.name(namespace)) {
            let selectors = self.selectors.entry((namespace, first)).or_default();
            if self.services >= MAX_ADDRESSES || selectors.len() >= MAX_SELECTORS {
                builder.fault(place, "is one of too many services: pods don't have its name");
                return;
            }
            self.services += 1;
            selectors.push(Selector { labels, service });
        }
    }

    /// Names the pods, now that all services are known.
    pub(super) fn finish(self, builder: &mut Builder) {
        let Self { pods, selectors, .. } = self;
        for pod in pods {
            let wants = |selector: &&Selector| {
                selector.labels.iter().all(|label| pod.labels.binary_search(label).is_ok())
            };
            let mut services = pod.labels.iter().flat_map(|label| {
                let of_label = selectors.get(&(Arc::clone(&pod.namespace), label.clone()));
                of_label.into_iter().flatten().filter(wants)
            });
            // Which of several services a call is for, an address does not say.
            let service = match (services.next(), services.next()) {
                (Some(only), None) => Some(Arc::clone(&only.service)),
                _ => None,
            };
            let named = Named { name: service.or(pod.app), ..pod.named };
            for uid in &pod.uids {
                builder.add_pod(uid, named.clone());
            }
            for address in pod.addresses {
                builder.add(address, named.clone(), &pod.place);
            }
        }
    }
}

fn node(object: &Value, name: &str, place: &str, builder: &mut Builder) {
    let Some(name) = builder.name(name) else {
        builder.fault(place, "has too long a name");
        return;
    };
    for address in texts(object, "/status/addresses", "address").filter_map(ip) {
        builder.add(Pattern::Ip(address), Named { node: Some(Arc::clone(&name)), ..Named::default() }, place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{names, wrong};

    fn pod(name: &str, rest: &str, status: &str) -> String {
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","uid":"uid-{name}",
               "labels":{{"app":"order","tier":"web"}}}},"spec":{{"nodeName":"n1","containers":[{{"name":"c"}}]{rest}}},
               "status":{{"hostIP":"192.168.0.1"{status}}}}}"#
        )
    }

    fn list(items: &[String]) -> String {
        format!(
            r#"{{"apiVersion":"v1","items":[{}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#,
            items.join(",")
        )
    }

    fn service(name: &str, spec: &str) -> String {
        format!(
            r#"{{"kind":"Service","metadata":{{"name":"{name}","namespace":"shop"}},"spec":{{{spec}}},
               "status":{{"loadBalancer":{{"ingress":[{{"ip":"203.0.113.9"}}]}}}}}}"#
        )
    }

    #[test]
    fn pods_have_the_name_of_their_service_and_hosts_their_own() {
        let file = list(&[
            pod(
                "order-1",
                "",
                r#","phase":"Running","podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"},{"ip":"fd00::1"}]"#,
            ),
            pod("done-1", "", r#","phase":"Succeeded","podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"}]"#),
            pod("proxy-1", r#","hostNetwork":true"#, r#","phase":"Running","podIP":"192.168.0.1""#),
            service(
                "orders",
                r#""clusterIP":"10.96.0.7","clusterIPs":["10.96.0.7"],"selector":{"app":"order"},"ports":[{"port":443}]"#,
            ),
            service("none", r#""clusterIP":"None","selector":{"app":"else"}"#),
        ]);
        let ends = [
            "10.1.0.1:5",
            "[fd00::1]:5",
            "192.168.0.1:5",
            "10.96.0.7:80",
            "203.0.113.9:443",
            "203.0.113.9:80",
        ];
        let (found, said) = names(&file, &ends);
        let order = "orders.shop shop/order-1 n1";
        assert_eq!(found, [order, order, "n1", "orders.shop", "orders.shop", "-"]);
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_pod_of_several_services_has_the_name_of_its_app() {
        let running = r#","phase":"Running","podIP":"10.1.0.1""#;
        let both =
            [service("a", r#""selector":{"app":"order"}"#), service("b", r#""selector":{"tier":"web"}"#)];
        let file = list(&[both.to_vec(), vec![pod("order-1", "", running)]].concat());
        assert_eq!(names(&file, &["10.1.0.1:5"]).0, ["order.shop shop/order-1 n1"]);
        let other =
            list(&[service("c", r#""selector":{"app":"order","tier":"db"}"#), pod("order-1", "", running)]);
        assert_eq!(names(&other, &["10.1.0.1:5"]).0, ["order.shop shop/order-1 n1"]);
    }

    #[test]
    fn a_service_selects_by_empty_values_too() {
        let running = r#","phase":"Running","podIP":"10.1.0.1""#;
        let canary = service("canary", r#""selector":{"app":"order","canary":""}"#);
        let found = |pod: String| names(&list(&[canary.clone(), pod]), &["10.1.0.1:5"]).0;
        let plain = pod("order-1", "", running);
        assert_eq!(found(plain.clone()), ["order.shop shop/order-1 n1"]);
        let marked = plain.replace(r#""tier":"web""#, r#""canary":"""#);
        assert_eq!(found(marked), ["canary.shop shop/order-1 n1"]);
    }

    #[test]
    fn services_beyond_the_most_of_a_label_are_said() {
        let selector = |number: usize| format!(r#""selector":{{"app":"order","x":"{number}"}}"#);
        let services = (0..=super::MAX_SELECTORS).map(|at| service(&format!("s{at}"), &selector(at)));
        let mut items: Vec<String> = services.map(|service| service.replace("203.0.113.9", "")).collect();
        let last = super::MAX_SELECTORS - 1;
        let running = r#","phase":"Running","podIP":"10.1.0.1""#;
        items.push(pod("order-1", "", running).replace(r#""tier":"web""#, &format!(r#""x":"{last}""#)));
        let (found, said) = names(&list(&items), &["10.1.0.1:5"]);
        assert_eq!(found, [format!("s{last}.shop shop/order-1 n1")]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("is one of too many services"), "{said:?}");
    }

    #[test]
    fn ports_of_the_host_are_those_of_their_pod() {
        let spec = r#","hostNetwork":true,"x":{}"#;
        let with_port = pod("dns-1", spec, r#","phase":"Running","podIP":"192.168.0.1""#)
            .replace(r#"{"name":"c"}"#, r#"{"name":"c","ports":[{"containerPort":53,"hostPort":53}]}"#);
        let (found, _) = names(&list(&[with_port]), &["192.168.0.1:53", "192.168.0.1:54"]);
        assert_eq!(found, ["order.shop shop/dns-1 n1", "n1"]);
    }

    #[test]
    fn two_pods_at_one_address_have_no_name() {
        let running = r#","phase":"Running","podIP":"10.1.0.1""#;
        let (found, said) = names(&list(&[pod("a", "", running), pod("b", "", running)]), &["10.1.0.1:5"]);
        assert_eq!((found[0].as_str(), said.len()), ("-", 1));
        assert!(said[0].starts_with("item 2 (Pod shop/b): names an address"), "{said:?}");
    }

    #[test]
    fn lists_of_the_api_and_single_objects() {
        let one = pod("order-1", "", r#","podIP":"10.1.0.1""#);
        assert_eq!(names(&one, &["10.1.0.1:5"]).0, ["order.shop shop/order-1 n1"]);
        let without_kind = list(&[one.replace(r#""kind":"Pod","#, "")]).replace("\"List\"", "\"PodList\"");
        assert_eq!(names(&without_kind, &["10.1.0.1:5"]).0, ["order.shop shop/order-1 n1"]);
        assert!(wrong(r#"{"kind":"List","items":[{"kind":"Pod""#).contains("line 1 column"));
        assert!(wrong(r#"{"a":1}"#).contains("is neither a pod"));
    }
}
