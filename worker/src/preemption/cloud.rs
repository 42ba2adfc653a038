//! Which cloud this host is a machine of, by what its firmware says; nobody is asked.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Endpoint;
use super::metadata::BadEndpoint;

/// Where Linux shows what the firmware says (SMBIOS).
const FIRMWARE: &str = "/sys/class/dmi/id";
/// Asset tag of Azure's virtual machines; Hyper-V elsewhere has others.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";
/// Where all of them answer, unless told otherwise.
const LINK_LOCAL: &str = "http://169.254.169.254";
/// Firmware fields are shorter.
const MAX_FIELD_BYTES: u64 = 256;

/// A cloud whose machines can be told that they will be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Azure virtual machines.
    Azure,
}

impl Cloud {
    /// The cloud that this host is in, if it is one of these.
    pub fn of_this_host() -> Option<Cloud> {
        Cloud::by_firmware(Path::new(FIRMWARE))
    }

    fn by_firmware(folder: &Path) -> Option<Cloud> {
        let field = |name: &str| {
            let mut text = String::new();
            // A host without firmware fields is in none of these clouds.
            let _ = File::open(folder.join(name))
                .map(|file| file.take(MAX_FIELD_BYTES).read_to_string(&mut text));
            text.trim().to_owned()
        };
        // EC2 on Nitro names itself; on Xen only the version of its firmware tells.
        if field("sys_vendor") == "Amazon EC2" || field("bios_version").contains("amazon") {
            return Some(Cloud::Aws);
        }
        if field("product_name") == "Google Compute Engine" {
            return Some(Cloud::Gcp);
        }
        (field("chassis_asset_tag") == AZURE_TAG).then_some(Cloud::Azure)
    }

    /// Where its metadata service is asked: `given` in the form of this cloud's own tools, or else the usual place.
    pub fn endpoint(self, given: Option<&str>) -> Result<Endpoint, BadEndpoint> {
        match (self, given) {
            (_, None) => Endpoint::parse(LINK_LOCAL),
            // Google's tools take a host, and a port where it is another than 80.
            (Cloud::Gcp, Some(host)) => Endpoint::parse(&format!("http://{host}")),
            (Cloud::Aws | Cloud::Azure, Some(url)) => Endpoint::parse(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(fields: &[(&str, &str)]) -> Option<Cloud> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in fields {
            std::fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
        }
        Cloud::by_firmware(folder.path())
    }

    #[test]
    fn the_firmware_names_the_cloud() {
        assert_eq!(cloud(&[("sys_vendor", "Amazon EC2"), ("bios_version", "1.0")]), Some(Cloud::Aws));
        assert_eq!(cloud(&[("sys_vendor", "Xen"), ("bios_version", "4.11.amazon")]), Some(Cloud::Aws));
        assert_eq!(cloud(&[("product_name", "Google Compute Engine")]), Some(Cloud::Gcp));
        assert_eq!(cloud(&[("chassis_asset_tag", AZURE_TAG)]), Some(Cloud::Azure));
    }

    #[test]
    fn other_hosts_are_in_no_cloud() {
        assert_eq!(cloud(&[]), None);
        assert_eq!(cloud(&[("sys_vendor", "QEMU"), ("product_name", "Standard PC")]), None);
        let hyper_v = [("sys_vendor", "Microsoft Corporation"), ("chassis_asset_tag", "None")];
        assert_eq!(cloud(&hyper_v), None);
    }

    #[test]
    fn each_cloud_takes_endpoints_as_its_own_tools_do() {
        let usual = Endpoint::parse(LINK_LOCAL);
        assert_eq!(Cloud::Azure.endpoint(None), usual);
        assert_eq!(Cloud::Aws.endpoint(Some(LINK_LOCAL)), usual);
        assert_eq!(Cloud::Gcp.endpoint(Some("169.254.169.254")), usual);
        assert!(Cloud::Aws.endpoint(Some("169.254.169.254")).is_err());
        assert!(Cloud::Gcp.endpoint(Some("http://169.254.169.254")).is_err());
    }
}
