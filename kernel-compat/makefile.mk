# Read at the end of a driver's Makefile, which starts Kbuild.

# Linux 7.0 makes BTF of modules with scripts/gen-btf.sh. Drivers from 580 on hand it an awk program in place of pahole, which only a
# shell can take apart, and gen-btf.sh calls pahole without one: "awk: invalid char". Nothing needs these modules' BTF.
ifneq ($(wildcard $(KERNEL_SOURCES)/scripts/gen-btf.sh),)
  KBUILD_PARAMS += CONFIG_DEBUG_INFO_BTF_MODULES=
endif
