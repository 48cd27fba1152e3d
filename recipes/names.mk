# Included by batch.mk and few_shot.mk: what they share, above all what can be wrong with names.

SOURCES ?=
DRIVERS ?=
OUT ?= out
OPTIONS ?=
EXT ?= mp4
THVIDEO ?= thvideo
PYTHON ?= python3

stem = $(basename $(notdir $1))
# One word for the shell, whatever is in it.
quote = '$(subst ','\'',$1)'

require = $(if $(strip $($1)),,$(error $1 is empty: give $1="$2"))

one_word = $(if $(word 2,$($1)),$(error $1 cannot have spaces: $($1)))

# Make splits names at spaces: the pieces of such a name do not exist.
no_file = $(error $1 does not exist; make cannot take names with spaces, rename or link such files)
require_files = $(foreach f,$1,$(if $(wildcard $f),,$(call no_file,$f)))

# Results are named by stems, so two a.jpg from different folders would overwrite each other.
require_stems = $(if $(call same,$1),,$(error two of $1 have the same name: $($1)))
same = $(filter $(words $($1)),$(words $(sort $(foreach f,$($1),$(call stem,$f)))))

# $(call remember,FILE,TEXT) renews FILE only when TEXT is not what it was.
define remember_rule
$1: FORCE
	@mkdir -p $$(call quote,$$(@D))
	@printf '%s\n' $$(call quote,$2) | cmp -s - $$(call quote,$$@) || \
	  printf '%s\n' $$(call quote,$2) > $$(call quote,$$@)
endef
remember = $(eval $(call remember_rule,$1,$2))

# Several runs share the cores under -j: threads that spin while they wait would starve them.
export OMP_WAIT_POLICY ?= PASSIVE

$(call require,SOURCES,a.jpg b.png)
$(call require,DRIVERS,x.mp4)
$(call one_word,OUT)
$(call require_files,$(SOURCES) $(DRIVERS))
$(call require_stems,DRIVERS)

.PHONY: all clean FORCE
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
