# Where NVIDIA publishes the guest drivers for Linux. @release@ stands for the vGPU release, @version@ for the driver's.
"https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU@release@/NVIDIA-Linux-x86_64-@version@-grid.run"
