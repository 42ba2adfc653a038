#include <x265.h>
#include <EbSvtAv1Enc.h>
