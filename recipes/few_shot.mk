# make -f recipes/few_shot.mk NAME=anna SOURCES="front.jpg left.jpg right.jpg" DRIVERS="x.mp4 y.mp4"
#
# Several pictures or videos of one person make one identity; every driver moves it:
# OUT/anna--x.mp4, OUT/anna--y.mp4. The first source is the picture that is animated.
#
#   NAME=person                begins the results' names
#   OUT=out                    where the results go
#   OPTIONS="--shots 4"        more options of `thvideo reenact`
#   EXT=mp4                    or mov, mkv, webm, gif
#   THVIDEO=thvideo            the program to call
#   clean                      remove the results, and nothing else

NAME ?= person
HERE := $(dir $(lastword $(MAKEFILE_LIST)))

include $(HERE)names.mk
$(call one_word,NAME)

result = $(OUT)/$(NAME)--$(call stem,$1).$(EXT)
RESULTS := $(foreach d,$(DRIVERS),$(call result,$d))

all: $(RESULTS)

define person
$(call result,$1): $(SOURCES) $1 $(OUT)/.options
	$(THVIDEO) reenact $(foreach s,$(SOURCES),--source $$(call quote,$s)) \
	  --driver $$(call quote,$1) --output $$(call quote,$$@) $(OPTIONS)
endef
$(foreach d,$(DRIVERS),$(eval $(call person,$d)))

clean:
	rm -f $(foreach r,$(RESULTS),$(call quote,$r)) $(call quote,$(OUT)/.options)

$(call remember,$(OUT)/.options,$(SOURCES) $(OPTIONS))
