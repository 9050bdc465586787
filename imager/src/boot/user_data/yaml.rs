//! Reading a cloud-config as YAML, before a Pi without a screen has to.

use pikube_config::Problem;

use crate::yaml;

/// Whether it is YAML with keys at its top (or empty); the host name that it sets.
pub fn check(text: &str) -> Result<Option<String>, Problem> {
    let documents = yaml::load(text)
        .map_err(|error| Problem::new("user-data", error.to_string()).help("correct its YAML"))?;
    let top = match documents.as_slice() {
        [] => return Ok(None),
        [top] => top,
        _ => {
            return Err(Problem::new("user-data", "holds more than one YAML document")
                .help("remove the line `---` between them"));
        }
    };
    if top.is_null() {
        return Ok(None);
    }
    let Some(keys) = top.as_mapping() else {
        return Err(Problem::new("user-data", "is not `key: value` lines at its top")
            .help("see cloud-init's examples of a #cloud-config"));
    };
    let value = |name: &str| {
        keys.iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .and_then(|(_, value)| value.as_str())
    };
    // cloud-init's `util.get_hostname_fqdn`: `hostname`, else the first label of `fqdn`.
    let fqdn = || value("fqdn").map(|name| name.split('.').next().unwrap_or(name));
    Ok(value("hostname").or_else(fqdn).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_is_found_and_errors_have_a_place() {
        assert_eq!(check("#cloud-config\nhostname: a\nfqdn: b.c\n"), Ok(Some("a".into())));
        assert_eq!(check("#cloud-config\nfqdn: b.c\n"), Ok(Some("b".into())));
        assert_eq!(check("#cloud-config\n# hostname: a\n"), Ok(None));
        let error = check("#cloud-config\na: [1, 2\nb: 3\n").unwrap_err().to_string();
        assert!(error.contains("line ") && error.contains("column "), "{error}");
        let nested = format!("#cloud-config\na: {}", "[".repeat(50_000));
        assert!(check(&nested).unwrap_err().to_string().contains("nested more than"));
        assert!(check("---\na: 1\n---\nb: 1\n").unwrap_err().to_string().contains("more than one"));
    }
}
