package doctor

// deviceDirs are the devices, and the directories of devices, that are commonly given to containers and that the kernel
// or udev gives a group of their own.
func deviceDirs() []string {
	return []string{"/dev/dri", "/dev/kvm", "/dev/snd", "/dev/nvidia0", "/dev/kfd", "/dev/video0", "/dev/ttyUSB0", "/dev/ttyACM0", "/dev/input", "/dev/bus/usb", "/dev/net/tun"}
}

// deviceNodes are the devices among them that have a name of their own. One that is not there is not there.
func deviceNodes() []string {
	return []string{"/dev/dri/card0", "/dev/dri/renderD128", "/dev/kvm", "/dev/kfd", "/dev/nvidia0", "/dev/video0", "/dev/ttyUSB0", "/dev/ttyACM0"}
}
