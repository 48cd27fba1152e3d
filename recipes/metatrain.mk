# make -f recipes/metatrain.mk VIDEOS=videos PERCEPTUAL=vgg19-small=vgg19_small16x.safetensors
#
# From a folder tree of videos and pictures to one file of weights, as the shipped ones were made:
# OUT/dataset, then a run without the discriminator (OUT/plain), one against it that begins with
# its weights (OUT/full), then OUT/NAME.safetensors with its card. What is finished is not made
# again; a run that was stopped goes on.
#
#   NAME=swift                 of the weights
#   OUT=trained                where all of it goes
#   PRESET=swift               or paper
#   PERCEPTUAL=                NAME=PATH of perceptual networks, several with spaces between
#   SIDE=                      of the pictures; 128 for swift, 256 for paper
#   PLAIN_STEPS=4000           steps without the discriminator
#   FULL_STEPS=8000            steps against it
#   OPTIONS=                   more options of `thvideo metatrain`; for swift they come after
#                              "--batch-size 8 --lr 3e-4"
#   USE="research only"        what the card says of the weights' use
#   THVIDEO=thvideo            the program to call
#   TRAIN=$(THVIDEO)           the one that trains: "torchrun --nproc-per-node 2 -m thvideo"

VIDEOS ?=
NAME ?= swift
OUT ?= trained
PRESET ?= swift
PERCEPTUAL ?=
IS_SWIFT := $(filter swift,$(PRESET))
SIDE ?= $(if $(IS_SWIFT),128,256)
PLAIN_STEPS ?= 4000
FULL_STEPS ?= 8000
OPTIONS ?=
USE ?= not stated
THVIDEO ?= thvideo
TRAIN ?= $(THVIDEO)

$(if $(strip $(VIDEOS)),,$(error VIDEOS is empty: give VIDEOS=folder))

DATASET := $(OUT)/dataset
WEIGHTS := $(OUT)/$(NAME).safetensors
own = $(if $(IS_SWIFT),--batch-size 8 --lr 3e-4)
train = $(TRAIN) metatrain --output $1 $(own) $(OPTIONS) --steps $2 \
  $$(test -f $1/last/state.json || test -f $1/last.old/state.json && echo --resume || echo $3)
fresh = --data $(DATASET) --preset $(PRESET) --size $(SIDE) $(foreach p,$(PERCEPTUAL),--perceptual $p)

.PHONY: all
.DELETE_ON_ERROR:
all: $(WEIGHTS)

$(DATASET)/clips.tsv:
	$(THVIDEO) prepare $(VIDEOS) --pictures --output $(DATASET)

$(OUT)/plain.done: $(DATASET)/clips.tsv
	$(call train,$(OUT)/plain,$(PLAIN_STEPS),$(fresh) --adversarial-from $(PLAIN_STEPS))
	touch $@

# It begins with the best of OUT/plain. Its own best by validation would be the blurriest: what
# the discriminator sharpens costs a little of every distance, so its last is what is exported.
$(OUT)/full.done: $(OUT)/plain.done
	$(call train,$(OUT)/full,$(FULL_STEPS),$(fresh) --adversarial-from 0 --init $(OUT)/plain)
	touch $@

$(WEIGHTS): $(OUT)/full.done
	$(THVIDEO) weights export $(OUT)/full --checkpoint last --output $@ --use '$(USE)'
