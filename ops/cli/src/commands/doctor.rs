pub(crate) fn run(_args: crate::args::DoctorArgs) -> Result<(), crate::exit::Stop> {
    Ok(())
}
